"""The progress of training: a live line in a terminal, and one line per epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from counterfeit.system.console import decoration, say, stderr
from counterfeit.training.trainer import EpochEnded, Logged, Resumed, ScoredEpoch, Stepped, Tested

E = TypeVar("E")


def show(events: Iterable[E], epochs: int) -> Iterator[E]:
    """Pass the events on while showing them on stderr: epoch, losses, images/s, time elapsed and time left.

    If that fails, a line says so, and training continues.
    """
    screen: _Screen | None = None
    with decoration("the progress of training"):
        screen = _Screen(epochs)
    try:
        for event in events:
            if screen is not None:
                screen = _shown(screen, event)
            yield event
    finally:
        if screen is not None:
            with decoration("the progress of training"):
                screen.live.stop()


def _shown(screen: _Screen, event: object) -> _Screen | None:
    """The screen with the event on it; None where it failed, so that it fails once and not at every step."""
    with decoration("the progress of training"):
        screen.show(event)
        return screen
    with suppress(Exception):
        screen.live.stop()
    return None


class _Screen:
    """The live line, and what stays above it."""

    def __init__(self, epochs: int) -> None:
        console = stderr()
        self._epochs, self._measured = epochs, ""  # losses and speed, once there are any
        self.live = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
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
        self._task = self.live.add_task("", total=None, epoch=1, measured="")
        self.live.start()

    def show(self, event: object) -> None:
        match event:
            case Resumed():
                say(f"continuing after step {event.step}")
            case Stepped():
                self.live.update(self._task, completed=event.step, total=event.total)
            case Logged():
                self._measured = f"{in_words(event.losses)}  {speed(event.images_per_s)}"
                self.live.update(self._task, epoch=event.epoch, measured=self._measured)
            case EpochEnded():
                say(f"epoch {event.epoch:>3}/{self._epochs}  {self._measured}")
            case ScoredEpoch():
                best = "the best so far" if event.best == event.epoch else f"the best is epoch {event.best}"
                say(f"epoch {event.epoch:>3}/{self._epochs}  {event.name} {event.value:.4g}, {best}")
            case Tested():
                unit = f", in {event.unit}" if event.unit else ""
                say(f"test set{unit}: {in_words(event.losses)}")


def speed(images_per_s: float) -> str:
    """`1,799 images/s`; `0.42 images/s` of a slow run."""
    return f"{images_per_s:,.0f} images/s" if images_per_s >= 10 else f"{images_per_s:.2g} images/s"


def in_words(losses: dict[str, float]) -> str:
    """`loss 104.2  kl 25.1`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
