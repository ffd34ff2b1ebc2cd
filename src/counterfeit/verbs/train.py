"""The verb `train`: data in, run folder out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from counterfeit import processes
from counterfeit.config import Config
from counterfeit.display import show
from counterfeit.recipes import RECIPES
from counterfeit.run import Run
from counterfeit.runs import RunFolder
from counterfeit.training import Stopped, Training


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: training stopped at a step boundary, with a checkpoint."""


def train(
    model: str,
    data: Any = None,
    *,
    labels: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a named model; the Python form of `counterfeit train`.

    Args:
        model: a name of `counterfeit list models`.
        data: data set name (default "mnist"), folder, .npz file, or a uint8 array, (N, H, W), (N, H, W, C) or
            (N, C, H, W).
        labels: integers (N,), for an array.
        out: run folder; by default runs/MODEL-DATA-sSEED.
        resume: continue the run in `out`; settings that are not given are the run's own.
        quiet: show no progress.
        **settings: fields of `Config`, in place of the model's own.

    Returns:
        The run, ready to be sampled.

    Raises:
        InputError: something given is wrong; nothing has been written.
        NonFiniteError: a loss or weight is not finite any more; the last good checkpoint is kept.
        KeyboardInterrupt: Ctrl-C, as `Interrupted`; a checkpoint has been written.
    """
    array = None
    if isinstance(data, (str, Path)):
        settings["data"] = str(data)
    elif data is not None:
        settings["data"], array = "array", data
    config = starting_config(model, out, resume, settings).replace(settings)
    return fit(model, config, out=out, resume=resume, quiet=quiet, array=array, labels=labels)


def starting_config(model: str, out: str | Path | None, resume: bool, settings: dict[str, Any]) -> Config:
    """What the user's settings go on top of: the model's own, or the run's when one is continued."""
    config = RECIPES[model].config
    if not resume:
        return config
    return RunFolder(out or default_out(model, config.replace(settings))).read_record().config


def default_out(model: str, config: Config) -> Path:
    """runs/MODEL-DATA-sSEED; of a path, its last part."""
    return Path("runs") / f"{model}-{Path(config.data).stem}-s{config.seed}"


def fit(
    model: str,
    config: Config,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    array: Any = None,
    labels: Any = None,
) -> Run:
    """Train with complete settings; see `train`."""
    folder = RunFolder(out or default_out(model, config))
    group = processes.join(config.device)
    training = group.everyone(
        lambda: Training(model, config, folder, resume=resume, array=array, labels=labels, group=group)
    )
    with stop_on_signals() as stop:
        events = training.events(stop.is_set)
        for event in events if quiet else show(events, config.epochs):
            if isinstance(event, Stopped):
                raise Interrupted(
                    f"stopped after step {event.step} with a checkpoint; the same command with --resume goes on"
                )
    return Run(folder.path, config.device)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """While the block runs, the first Ctrl-C or SIGTERM sets the event; a second one acts as it always does."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
