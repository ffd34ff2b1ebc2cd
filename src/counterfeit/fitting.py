"""Training to its end: checked, shown, and stopped at a step boundary by Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from counterfeit import processes
from counterfeit.config import Config
from counterfeit.display import show
from counterfeit.runs import RunFolder
from counterfeit.training import Stopped, Training


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: training stopped at a step boundary, with a checkpoint."""


def fitting(
    model: str,
    config: Config,
    folder: RunFolder,
    *,
    resume: bool = False,
    quiet: bool = False,
    array: Any = None,
    labels: Any = None,
) -> Generator[object, None, None]:
    """The events of a training (see `Training.events`), for one who has something to do at some of them.

    Raises Interrupted after `Stopped`.
    """
    group = processes.join(config.device)
    training = group.everyone(
        lambda: Training(model, config, folder, resume=resume, array=array, labels=labels, group=group)
    )
    with stop_on_signals() as stop:
        events = training.events(stop.is_set)
        for event in events if quiet else show(events, config.epochs):
            yield event
            if isinstance(event, Stopped):
                raise Interrupted(
                    f"stopped after step {event.step} with a checkpoint; the same command with --resume goes on"
                )


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
