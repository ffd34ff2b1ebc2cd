"""Training as a person sees it: a live line in a terminal, and a line an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from counterfeit import console
from counterfeit.training import EpochEnded, Logged, Resumed, ScoredEpoch, Stepped, Tested

E = TypeVar("E")


def show(events: Iterable[E], epochs: int) -> Iterator[E]:
    """Pass the events on while showing them on stderr: epoch, losses, images/s, time gone and time left."""
    screen = console.stderr()
    live = Progress(
        TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[losses]}  {task.fields[rate]:,.0f} images/s"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=screen,
        disable=not screen.is_terminal,
        transient=True,
    )
    losses, rate = "", 0.0
    with live:
        task = live.add_task("", total=None, epoch=1, losses=losses, rate=rate)
        for event in events:
            match event:
                case Resumed():
                    screen.print(f"continuing after step {event.step}", markup=False)
                case Stepped():
                    live.update(task, completed=event.step, total=event.total)
                case Logged():
                    losses, rate = in_words(event.losses), event.images_per_s
                    live.update(task, epoch=event.epoch, losses=losses, rate=rate)
                case EpochEnded():
                    screen.print(f"epoch {event.epoch:>3}/{epochs}  {losses}  {rate:,.0f} images/s", markup=False)
                case ScoredEpoch():
                    best = "the best so far" if event.best == event.epoch else f"best was epoch {event.best}"
                    screen.print(
                        f"epoch {event.epoch:>3}/{epochs}  {event.name} {event.value:.4g}, {best}", markup=False
                    )
                case Tested():
                    screen.print(f"on the test set, nats an image: {in_words(event.losses)}", markup=False)
            yield event


def in_words(losses: dict[str, float]) -> str:
    """`loss 104.2  kl 25.1`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
