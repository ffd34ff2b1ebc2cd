"""Training as a person sees it: a live line in a terminal, and a line an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from counterfeit.system.console import decoration, say, stderr
from counterfeit.training.trainer import EpochEnded, Logged, Resumed, ScoredEpoch, Stepped, Tested

E = TypeVar("E")


def show(events: Iterable[E], epochs: int) -> Iterator[E]:
    """Pass the events on while showing them on stderr: epoch, losses, images/s, time gone and time left.

    Where that fails, a line says so, and the events go on.
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
        self._epochs, self._losses, self._rate = epochs, "", 0.0
        self.live = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[losses]}  {task.fields[rate]:,.0f} images/s"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self.live.add_task("", total=None, epoch=1, losses="", rate=0.0)
        self.live.start()

    def show(self, event: object) -> None:
        match event:
            case Resumed():
                say(f"continuing after step {event.step}")
            case Stepped():
                self.live.update(self._task, completed=event.step, total=event.total)
            case Logged():
                self._losses, self._rate = in_words(event.losses), event.images_per_s
                self.live.update(self._task, epoch=event.epoch, losses=self._losses, rate=self._rate)
            case EpochEnded():
                say(f"epoch {event.epoch:>3}/{self._epochs}  {self._losses}  {self._rate:,.0f} images/s")
            case ScoredEpoch():
                best = "the best so far" if event.best == event.epoch else f"best was epoch {event.best}"
                say(f"epoch {event.epoch:>3}/{self._epochs}  {event.name} {event.value:.4g}, {best}")
            case Tested():
                say(f"on the test set, nats an image: {in_words(event.losses)}")


def in_words(losses: dict[str, float]) -> str:
    """`loss 104.2  kl 25.1`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
