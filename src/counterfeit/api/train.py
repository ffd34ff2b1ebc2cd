"""The command `train`: from data to a run folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from counterfeit import data as datasets
from counterfeit import tracking
from counterfeit.errors import InputError
from counterfeit.hub import is_address
from counterfeit.models import MODELS, ModelSettings
from counterfeit.run import Run
from counterfeit.runs import RunFolder
from counterfeit.system import paths
from counterfeit.system.arguments import checked
from counterfeit.system.console import speaks
from counterfeit.system.isolation import alone, refuse_import_of_main
from counterfeit.training.session import fitting


@checked
def train(
    model: str,
    data: Any = None,
    *,
    labels: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    track: str | Sequence[str] | None = None,
    **settings: Any,
) -> Run:
    """Train a named model; the Python form of `counterfeit train`.

    Args:
        model: a name of `counterfeit list models`.
        data: data set name (default "mnist"), folder, .npz file, a uint8 array, (N, H, W), (N, H, W, C) or
            (N, C, H, W), or a data set of PyTorch, torchvision or Hugging Face, which is read once.
        labels: integers (N,), for an array.
        out: run folder; by default runs/MODEL-DATA-sSEED.
        resume: continue the run in `out` with its own settings, except those given here.
        quiet: show no progress.
        track: trackers that mirror the run: "tensorboard", "wandb", "mlflow", or a list of them.
        **settings: what `counterfeit train MODEL --help` shows, in place of the model's defaults.

    Returns:
        The trained run.

    Raises:
        InputError: an argument is wrong; nothing has been written.
        NonFiniteError: a loss or weight became infinite or NaN; the last good checkpoint remains.
        KeyboardInterrupt: Ctrl-C, as `Interrupted`; a checkpoint has been written.
    """
    refuse_import_of_main()
    array = None
    if isinstance(data, (str, Path)):
        settings["data"] = paths.spelled(data)
    elif data is not None:
        settings["data"], array = "array", data
    config = MODELS[model].changed(starting_config(model, out, resume, settings), settings)
    given = set(settings)
    return fit(model, config, out=out, resume=resume, quiet=quiet, array=array, labels=labels, track=track, given=given)


def starting_config(model: str, out: str | Path | None, resume: bool, settings: dict[str, Any]) -> ModelSettings:
    """The settings that the user's settings change: the defaults of the model, or those of the run to continue."""
    config = MODELS[model].settings
    if not resume:
        return config
    return _folder(model, MODELS[model].changed(config, settings), out).read_record().config


def _folder(model: str, config: ModelSettings, out: str | Path | None) -> RunFolder:
    """Where it trains. InputError for the name of a run that is elsewhere."""
    if is_address(out):
        raise InputError(f"{out} is there to draw images from, and cannot be trained further: pass a folder as --out")
    return RunFolder(out or default_out(model, config))


def default_out(model: str, config: ModelSettings) -> Path:
    """runs/MODEL-DATA-sSEED; of a path, its last part."""
    return Path("runs") / f"{model}-{datasets.label(config.data)}-s{config.seed}"


@alone
def fit(
    model: str,
    config: ModelSettings,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    array: Any = None,
    labels: Any = None,
    track: str | Sequence[str] | None = None,
    given: Collection[str] | None = None,
) -> Run:
    """Train with complete settings; see `train`. With the names of those that were given, others may be chosen."""
    trackers = tracking.chosen(track)
    if array is None:
        config = config.replace({"data": paths.typed(config.data)})
    folder = _folder(model, config, out)
    data = {"array": array, "labels": labels}
    events = fitting(model, config, folder, resume=resume, quiet=quiet, alone=True, given=given, **data)
    with tracking.followed(folder, trackers if speaks() else []) as begin:
        for _ in events:
            begin()
    return Run(str(folder), config.device)
