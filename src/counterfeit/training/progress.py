"""The progress of training: a live line in a terminal, and one line per epoch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from counterfeit.runs.log import Trouble
from counterfeit.system.console import decoration, say, stderr
from counterfeit.system.notebook import Bar, in_notebook
from counterfeit.training.notes import Forecast
from counterfeit.training.trainer import EpochEnded, Logged, Resumed, ScoredEpoch, Stepped, Tested

E = TypeVar("E")
BUSY = 3.0  # times as slow as the fastest interval: more than warming up, or a browser's page, costs


def show(
    events: Iterable[E], epochs: int, on_cpu: bool = False, steps: int | None = None, timed: bool = False
) -> Iterator[E]:
    """Pass the events on while showing them on stderr: epoch, losses, images/s, time elapsed and time left.

    If that fails, a line says so, and training continues.

    Args:
        epochs: of the whole run.
        on_cpu: whether other programs may be in its way there.
        steps: of the whole run, if it is as long as that, which is then shown in steps.
        timed: whether it is known how long it takes.
    """
    screen: _Screen | None = None
    with decoration("the progress of training"):
        screen = _Screen(epochs, on_cpu, steps, timed)
    try:
        for event in events:
            if screen is not None:
                screen = _shown(screen, event)
            yield event
    finally:
        if screen is not None:
            with decoration("the progress of training"):
                screen.stop()


def _shown(screen: _Screen, event: object) -> _Screen | None:
    """The screen with the event on it; None where it failed, so that it fails once and not at every step."""
    with decoration("the progress of training"):
        screen.show(event)
        return screen
    with suppress(Exception):
        screen.stop()
    return None


class _Screen:
    """The live line, and what stays above it."""

    def __init__(self, epochs: int, on_cpu: bool, steps: int | None, timed: bool) -> None:
        console = stderr()
        self._steps, self._forecast = steps, None if timed else Forecast()
        self._best, self._slow, self._watched = 0.0, 0, on_cpu
        self._epochs, self._measured = epochs, ""  # losses and speed, once there are any
        self.live = Progress(
            TextColumn(
                f"step {{task.completed:,}}/{steps:,}" if steps else "epoch {task.fields[epoch]}/" + str(epochs)
            ),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[measured]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bar = Bar() if in_notebook() and not console.quiet else None
        self._task = self.live.add_task("", total=None, epoch=1, measured="")
        self.live.start()

    def stop(self) -> None:
        self.live.stop()
        if self._bar:
            self._bar.stop()

    def show(self, event: object) -> None:
        match event:
            case Resumed():
                say(f"continuing after step {event.step}")
            case Stepped():
                self.live.update(self._task, completed=event.step, total=event.total)
                if self._bar:
                    self._bar.show(event.step, event.total, f"step {event.step:,}/{event.total:,}  {self._measured}")
                line = self._forecast and self._forecast.after(event.step, event.total, time.monotonic())
                if line:
                    say(line)
            case Logged():
                self._measured = f"{in_words(event.losses)}  {speed(event.images_per_s)}"
                self.live.update(self._task, epoch=event.epoch, measured=self._measured)
                self._notice(event.images_per_s)
            case EpochEnded():
                say(f"{self._place(event)}  {self._measured}")
            case ScoredEpoch():
                best = "the best so far" if event.best == event.epoch else f"the best is epoch {event.best}"
                say(f"epoch {event.epoch:>3}/{self._epochs}  {event.name} {event.value:.4g}, {best}")
            case Trouble():
                say(f"epoch {event.epoch:>3}/{self._epochs}  {event}")
            case Tested():
                unit = f", in {event.unit}" if event.unit else ""
                say(f"test set{unit}: {in_words(event.losses)}")

    def _place(self, event: EpochEnded) -> str:
        """Where in the run it is."""
        if self._steps is None:
            return f"epoch {event.epoch:>3}/{self._epochs}"
        of = f"{self._steps:,}"
        return f"step {event.step:>{len(of)},}/{of} (epoch {event.epoch})"

    def _notice(self, images_per_s: float) -> None:
        """Say it once where two intervals in a row are much slower than the fastest was."""
        self._best = max(self._best, images_per_s)
        self._slow = self._slow + 1 if images_per_s < self._best / BUSY else 0
        if self._slow == 2 and self._watched:
            times = f"{self._best / images_per_s:.0f} times slower than it was"
            say(f"training is {times}: other programs seem to use its cores")
            self._watched = False


def speed(images_per_s: float) -> str:
    """`1,799 images/s`; `0.42 images/s` of a slow run."""
    return f"{images_per_s:,.0f} images/s" if images_per_s >= 10 else f"{images_per_s:.2g} images/s"


def in_words(losses: dict[str, float]) -> str:
    """`loss 104.2  kl 25.1`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
