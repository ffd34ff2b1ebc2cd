"""Training to its end: checked, shown, and stopped at a step boundary by Ctrl-C or SIGTERM."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from contextlib import closing
from typing import Any

from counterfeit.models import ModelSettings
from counterfeit.runs import RunFolder
from counterfeit.runs.asking import Asked
from counterfeit.system import distributed, durations
from counterfeit.system.console import say
from counterfeit.system.signals import Interrupted, deferred
from counterfeit.training import notes
from counterfeit.training.budget import Planned, planned_steps
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
    alone: bool = False,
    given: Collection[str] | None = None,
) -> Generator[object, None, None]:
    """The events of a training (see `Training.events`), for one who has something to do at some of them.

    One that trains `alone`, and not as a part of a grid, is also stopped by `runs.asking`.

    Raises Interrupted after `Stopped`, and in the end where a signal came too late to stop anything.
    """
    begun = time.perf_counter()
    group = distributed.join(config.device)
    training = group.everyone(
        lambda: Training(model, config, folder, resume=resume, array=array, labels=labels, group=group, given=given)
    )
    asked = Asked(folder, alone)
    with deferred() as stop, closing(asked):
        plan = planned_steps(training, begun, stop.is_set) if training.unplanned else None
        if plan is not None:
            training.take_steps(plan.steps)
        for line in () if quiet else (*notes.before(training), *_of_budget(training, plan)):
            say(line)
        events, of = training.events(lambda: asked() or stop.is_set()), training.config
        for event in events if quiet else show(events, of.epochs, training.device.type == "cpu", of.steps, bool(plan)):
            yield event
            if isinstance(event, Stopped):
                raise Interrupted(
                    f"stopped after step {event.step} with a checkpoint; the same command with --resume goes on"
                )
        if stop.is_set():
            raise Interrupted("stopped; the run is finished")
        if plan is not None and not quiet:
            used = time.perf_counter() - begun
            say(f"--budget {of.budget}: planned {plan.seconds:.0f} seconds, used {used:.0f}")


def _of_budget(training: Training, plan: Planned | None) -> list[str]:
    """What a budget has room for."""
    if plan is None:
        return []
    of, milliseconds = training.config, 1000 * plan.per_step
    each = f"{milliseconds:,.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
    epochs = training.plan.epochs_done(plan.steps)
    return [
        f"--budget {of.budget}: {of.steps:,} steps of {each}, {epochs:,.3g} epochs, which with all else take "
        f"{durations.in_words(plan.seconds)} here"
    ]
