"""The settings of a run. Attribute docstrings are the command line's help text."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import msgspec
from tyro.conf import OmitArgPrefixes, arg

from counterfeit.errors import InputError
from counterfeit.registry import nearest
from counterfeit.system import durations, paths
from counterfeit.system.arguments import MOST, fields_of, fitted, listed, shown
from counterfeit.system.sides import sides, spelled

if TYPE_CHECKING:
    from typing_extensions import Self

MOST_COUNTED = 2**31 - 1  # epochs, images, units: more than any disk holds, and what PyTorch's sizes can be


def setting(default: Any, *, computes: bool = True, may_change: bool | None = None) -> Any:
    """A field of settings that says its own effect.

    Args:
        computes: it decides what a run computes: another value is another run, and another row of a table.
        may_change: a continued run may have another value; by default what computes nothing may.
    """
    may_change = not computes if may_change is None else may_change
    return dataclasses.field(default=default, metadata={"computes": computes, "may_change": may_change})


SHORTEST = 10  # seconds of a budget: with less, nothing is measured
LENGTHS = ("budget", "steps", "epochs")  # what decides how long a run is, and before the next of them


def length_of(settings: Mapping[str, Any]) -> tuple[str, Any]:
    """The setting that decides how long a run is, and its value, None where all lack, as some of older runs do."""
    given = ((name, settings[name]) for name in LENGTHS if settings.get(name) is not None)
    return next(given, ("epochs", None))


PLAIN = {"computes": True, "may_change": False}  # effects of a field that says none, as those of a plugin may


def unless_set(words: str) -> Callable[[str], str]:
    """How --help tells the default of an option that is None: in words, where no model has set it."""
    return lambda default: f"(default: {words if default == 'None' else default})"


FORMER = {"binarise": "binarize"}  # spellings of settings that older runs and scripts have
ALIASES = FORMER | {"beta": "kl_weight"}  # what users may call a setting, as some papers do


def spelled_today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, with former spellings of their names as today's."""
    return {FORMER.get(name, name): value for name, value in settings.items()}


def spelled_here(settings: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """The same settings as of today, for what users may call them; a name in `own`, such as a plugin's, stays."""
    return {name if name in own else ALIASES.get(name, name): value for name, value in settings.items()}


def having(settings: Any, effect: str | None = None) -> set[str]:
    """The fields of settings, an instance or a class; those with an effect, `computes` or `may_change`."""
    fields = dataclasses.fields(settings)
    found = {field.name for field in fields if effect is None or field.metadata.get(effect, PLAIN[effect])}
    if effect is not None and getattr(settings, "keep", "") == "best":  # then the scores choose the weights
        found = found | {"score_every"} if effect == "computes" else found - {"score_every"}
    return found


@dataclass(frozen=True)
class Settings:
    """Fields that users set. A value of a wrong type or out of range raises InputError."""

    def __post_init__(self) -> None:
        fit_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain types."""
        # By json, which takes the name of a file that is not UTF-8, as msgspec's own JSON does not.
        return cast(dict[str, Any], json.loads(json.dumps(msgspec.to_builtins(self))))

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields changed; an unknown field or a value of a wrong type raises InputError."""
        changes = spelled_here(changes, having(self))
        check_names(type(self), changes)
        return dataclasses.replace(self, **changes)


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
                raise InputError(f"--budget is {shown(self.budget)}; it must be a time such as 90s, 5m or 1h30m")
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


REAL = Annotated[
    Any, arg(constructor=str, metavar="NAME[:SPLIT]|PATH", help_behavior_hint="(default: the data of the run)")
]


@dataclass(frozen=True)
class MeasureConfig(Settings):
    """What every measurement of generated images against real ones has."""

    real: REAL = None
    """Real images to compare with: a data set, a folder, a .zip or .tar of one, an .npz file of images, or (for FID
    only) an .npz file with their statistics mu and sigma. The test split is used if there is one; NAME:train selects
    the training split."""
    n: Annotated[int, arg(aliases=["-n"])] = 10_000
    """Number of generated images."""
    seed: int = 0
    """Random seed of the samples, from 0 to 2^63 - 1."""
    repeats: int = 1
    """Number of independent sets of n images to score; for more than one, the mean and standard deviation are
    reported."""
    size: Annotated[int | str | None, arg(metavar="PIXELS|HxW", help_behavior_hint="(default: no resizing)")] = None
    """Side length, or height and width such as 48x64, to which generated and real images are both resized, after a
    center crop, with a Lanczos filter."""
    skip_bad: bool = False
    """Skip images of a folder that cannot be read, instead of stopping at the first one."""
    device: str = "auto"
    """Device to compute on: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest one available."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 2:
            raise InputError(f"-n is {self.n}; a score needs 2 or more images, and thousands to mean something")
        check_count(self.n, "-n")
        check_count(self.repeats, "--repeats")
        check_seed(self.seed, self.repeats)
        if self.size is not None:
            object.__setattr__(self, "size", spelled(*sides(self.size)))


@dataclass(frozen=True)
class CasConfig(MeasureConfig):
    """Settings of the Classification Accuracy Score."""

    real: REAL = None
    """Real images with labels to test on: a data set, a folder or an .npz file. The test split is used if there is one;
    NAME:train selects the training split."""
    n: Annotated[int, arg(aliases=["-n"])] = 10_000
    """Number of generated images to train on, and of real images for the reference classifier. The time grows in
    proportion."""
    seed: int = 0
    """Random seed of the samples and of the classifier."""
    repeats: int = 1
    """Number of independent repetitions, each with new samples and a new classifier; for more than one, the mean and
    standard deviation are reported."""


@dataclass(frozen=True)
class InceptionSettings(Settings):
    """Settings of the detectors `inception` and `dinov2-…`; the small ones have none of their own."""

    weights: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="(default: found or downloaded)")] = None
    """File with the weights of Inception or DINOv2. By default a copy in the cache, which is downloaded if necessary;
    for Inception, the file that $COUNTERFEIT_INCEPTION names goes first."""
    any_weights: bool = False
    """Accept weights other than the standard file; the names of the metrics then say so."""
    protocol: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: tf1)")] = None
    """How images are resized for Inception: `tf1`, `pytorch-fid` or `clean`."""


@dataclass(frozen=True)
class ScoreConfig(MeasureConfig):
    """Settings of scoring."""

    # In Python and in grid files those of the detector stand beside the others: see `of`.

    detector: Annotated[Any, arg(constructor=str, metavar="NAME|FILE.onnx", help_behavior_hint="(default: auto)")] = (
        "auto"
    )
    """Network that extracts features from images (see `counterfeit list detectors`); `auto` chooses one for the real
    images and reports which."""
    metrics: Annotated[Any, arg(constructor=str, metavar="A,B", help_behavior_hint="(default: all that fit)")] = None
    """Metrics to compute, separated by commas (see `counterfeit list metrics`)."""
    compile: bool = False
    """Compile the detector with torch.compile: takes a minute or two at the start, and is faster afterwards."""
    inception: OmitArgPrefixes[InceptionSettings] = dataclasses.field(default_factory=InceptionSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.detector, str | os.PathLike) or callable(self.detector)):
            raise InputError(
                f"--detector is {shown(self.detector)}; it must be a name of `counterfeit list detectors`, the path of "
                "an .onnx file, or in Python a function"
            )
        if self.metrics is not None:
            object.__setattr__(self, "metrics", listed(self.metrics, "--metrics"))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ScoreConfig:
        """From keywords, those of the detector among them; an unknown one raises InputError."""
        own, detector = having(cls) - {"inception"}, having(InceptionSettings)
        check_known(settings, own | detector)
        plain = dict(settings)
        for name in ("real", "detector", "weights"):  # each may be a path; `~` is expanded here, once for all
            value = plain.get(name)
            if isinstance(value, os.PathLike) or (isinstance(value, str) and value.startswith("~")):
                plain[name] = paths.spelled(fitted(value, str | os.PathLike, option(name)))
        of_detector = InceptionSettings(**{name: plain.pop(name) for name in detector & plain.keys()})
        return cls(**plain, inception=of_detector)

    def keywords(self) -> dict[str, Any]:
        """What `of` takes."""
        return {name: value for name, value in vars(self).items() if name != "inception"} | vars(self.inception)


def fit_fields(config: Any) -> None:
    """Bring the fields of a frozen dataclass to their types: see `arguments.fitted`."""
    for name, kind in fields_of(type(config)).items():
        object.__setattr__(config, name, fitted(getattr(config, name), kind, option(name)))


def check_names(kind: type[Any], settings: Mapping[str, Any]) -> None:
    """InputError where a keyword is no field of a dataclass of settings."""
    check_known(settings, [field.name for field in dataclasses.fields(kind)])


def check_known(settings: Mapping[str, Any], known: Collection[str]) -> None:
    """InputError where a keyword is none of those that are known."""
    for name in settings:
        if name not in known:
            raise InputError(f"no setting named {shown(name)}; {nearest(str(name), known)}")


def check_count(value: int, what: str, least: int = 1) -> None:
    """InputError where a number of things is too small, or larger than anything that could be counted."""
    if not least <= value <= MOST_COUNTED:
        raise InputError(f"{what} is {value}; it must be {least} or more, and at most 2^31 - 1")


def check_seed(seed: int, draws: int = 1) -> None:
    """InputError where a seed is out of the one range that all seeds have; `draws` take it and the next ones."""
    if not 0 <= seed <= MOST - (draws - 1):
        raise InputError(f"--seed is {seed}; it must be between 0 and 2^63 - {draws}")


def option(field: str) -> str:
    """The command line's spelling of a field."""
    return "--" + field.replace("_", "-")


def from_dict(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """Build a dataclass from plain types, checking every type; InputError names the place and the fault."""
    missing = [f.name for f in dataclasses.fields(kind) if f.name not in values and f.default is dataclasses.MISSING]
    if missing:
        raise InputError(f"{where}: {missing[0]!r} is missing")
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise InputError(f"{where}: {error}") from None
