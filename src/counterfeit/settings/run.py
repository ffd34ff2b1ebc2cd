"""The settings of a run of any model. Attribute docstrings are the command line's help text."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from counterfeit.errors import InputError
from counterfeit.settings.fields import MOST_COUNTED, Settings, check_count, check_seed, option, setting, unless_set
from counterfeit.system import durations
from counterfeit.system.arguments import shown
from counterfeit.system.sides import sides, spelled

if TYPE_CHECKING:
    from typing_extensions import Self

SHORTEST = 10  # seconds of a budget: with less, nothing is measured
LENGTHS = ("budget", "steps", "epochs")  # what decides how long a run is, and before the next of them


def length_of(settings: Mapping[str, Any]) -> tuple[str, Any]:
    """The setting that decides how long a run is, and its value, None where all lack, as some of older runs do."""
    given = ((name, settings[name]) for name in LENGTHS if settings.get(name) is not None)
    return next(given, ("epochs", None))


@dataclass(frozen=True)
class RunSettings(Settings):
    """What can be set for a run of any model. It is kept in the run's run.json."""

    data: str = setting("mnist")
    """Training images: the name of a data set (see `counterfeit list data`), a folder of images, a .zip or .tar of one,
    or an .npz file. Subfolders named train and test are used as the splits."""
    epochs: int = setting(10, may_change=True)
    """Passes over the training images. Of fewer than 5,000 images, the default is 5,000 --steps in place of epochs."""
    steps: Annotated[int | None, arg(metavar="INT", help_behavior_hint=unless_set("as many as --epochs take"))] = (
        setting(None, may_change=True)
    )
    """Length of the run in training steps, in place of --epochs. The last epoch may be cut short."""
    budget: Annotated[str | None, arg(metavar="TIME", help_behavior_hint=unless_set("none"))] = setting(
        None, may_change=True
    )
    """Time in which the run is to end on this machine, such as 90s, 5m or 1h30m, in place of --epochs: its speed is
    measured first, and decides --steps."""
    seed: int = setting(0)
    """Random seed of the initial weights, the order of the images and all noise, from 0 to 2^63 - 1."""
    batch_size: int = setting(128)
    """Images per training step. The incomplete batch at the end of an epoch is dropped."""
    ema: float = setting(0.0)
    """Decay per step of an exponential moving average of the weights, which is then used for sampling; 0 turns it off,
    0.999 is a usual value."""
    size: Annotated[int | str | None, arg(metavar="PIXELS|HxW", help_behavior_hint=unless_set("at most 64"))] = setting(
        None
    )
    """Side length to which the images of a folder or an archive are resized and cropped, or height and width, such as
    48x64. By default 64, or the shorter side of the smallest image if that is less."""
    skip_bad: bool = setting(False, computes=False)
    """Skip images of a folder that cannot be read, instead of stopping at the first one."""
    holdout: float = setting(0.0)
    """Fraction of the images to hold out as a test split, such as 0.1, for data that has none; the same images for
    every training seed."""
    log_every: int = setting(50, computes=False)
    """Steps between two rows of log.jsonl; each row has the mean losses of these steps."""
    score_every: int = setting(0, computes=False)
    """Epochs between two evaluations during training, each the FID of 2,000 samples by the small detector for this data
    set; 0 turns them off."""
    keep: Literal["last", "best"] = setting("last")
    """Weights that samples and scores of the run are made with: `last`, or `best`, those of the epoch with the lowest
    score of --score-every, which are kept beside the last ones."""
    precision: Literal["float32", "tf32", "bfloat16"] = setting("float32")
    """Precision of matrix products in training; `tf32` needs an NVIDIA GPU. Scores always use float32."""
    cuda_graph: bool = setting(True, computes=False)
    """On an NVIDIA GPU, run each training step as one recorded CUDA graph, which is faster and gives the same numbers.
    --no-cuda-graph turns this off."""
    device: str = setting("auto", computes=False)
    """Device to compute on: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest one available."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epochs", "batch_size", "log_every"):
            check_count(getattr(self, name), option(name))
        if self.steps is not None:
            check_count(self.steps, "--steps")
        if self.budget is not None:
            seconds = durations.seconds(self.budget)
            if seconds is None or not SHORTEST <= seconds <= MOST_COUNTED:
                raise InputError(
                    f"--budget is {shown(self.budget)}; it must be a time of {SHORTEST} seconds or more, such as 90s, "
                    "5m or 1h30m"
                )
            object.__setattr__(self, "budget", durations.spelled(seconds))
        check_count(self.score_every, "--score-every", least=0)
        if self.keep == "best" and not self.score_every:
            raise InputError("--keep best needs scores to choose by: pass --score-every 1 as well")
        check_seed(self.seed)
        if self.size is not None:
            object.__setattr__(self, "size", spelled(*sides(self.size)))
        if not 0 <= self.holdout < 1:
            raise InputError(f"--holdout is {self.holdout}; it must be at least 0 (none) and less than 1, such as 0.1")
        if not 0 <= self.ema < 1:
            raise InputError(f"--ema is {self.ema}; it must be at least 0 (off) and less than 1, such as 0.999")

    @property
    def length(self) -> tuple[str, str | int]:
        """The setting that the run's length was asked for by, and its value. The other ones follow from it."""
        return length_of(vars(self))

    def as_in(self, run: Self, free: Collection[str] = ()) -> Self:
        """These settings with the epochs and steps of a run whose length was asked for in the same way.

        Args:
            free: names of further settings that are taken from the run.
        """
        there = dataclasses.replace(self, **{name: getattr(run, name) for name in free})
        return dataclasses.replace(there, epochs=run.epochs, steps=run.steps) if there.length == run.length else there

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """As that of all settings; a length takes the place of one given in another way. InputError for two of them."""
        given = [name for name in LENGTHS if changes.get(name) is not None]
        if len(given) > 1:
            raise InputError(f"{option(given[0])} and {option(given[1])} are two lengths of one run: pass one of them")
        others = {name: None for name in ("budget", "steps") if given and name not in given}
        return super().replace({**others, **changes})

    def by_owner(self) -> dict[str, dict[str, Any]]:
        """As in run.json: what any run has under `run`, what this model has under `model`."""
        run = {field.name for field in dataclasses.fields(RunSettings)}
        values = self.to_dict()
        return {
            "run": {name: value for name, value in values.items() if name in run},
            "model": {name: value for name, value in values.items() if name not in run},
        }
