"""Training to its end: checked, shown, and stopped at a step boundary by Ctrl-C or SIGTERM."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from counterfeit.models import ModelSettings
from counterfeit.runs import RunFolder
from counterfeit.system import distributed
from counterfeit.system.signals import Interrupted, deferred
from counterfeit.training.progress import show
from counterfeit.training.trainer import Stopped, Training


def fitting(
    model: str,
    config: ModelSettings,
    folder: RunFolder,
    *,
    resume: bool = False,
    quiet: bool = False,
    array: Any = None,
    labels: Any = None,
) -> Generator[object, None, None]:
    """The events of a training (see `Training.events`), for one who has something to do at some of them.

    Raises Interrupted after `Stopped`, and in the end where a signal came too late to stop anything.
    """
    group = distributed.join(config.device)
    training = group.everyone(
        lambda: Training(model, config, folder, resume=resume, array=array, labels=labels, group=group)
    )
    with deferred() as stop:
        events = training.events(stop.is_set)
        for event in events if quiet else show(events, config.epochs, training.device.type == "cpu"):
            yield event
            if isinstance(event, Stopped):
                raise Interrupted(
                    f"stopped after step {event.step} with a checkpoint; the same command with --resume goes on"
                )
        if stop.is_set():
            raise Interrupted("stopped; the run is finished")
