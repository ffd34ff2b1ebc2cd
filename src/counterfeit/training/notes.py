"""What a user should know of a training before it is over: that it is short, or what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from counterfeit.models.base import Model
from counterfeit.settings import option
from counterfeit.system import durations
from counterfeit.system.memory import ADAM, in_bytes, in_saving, in_training
from counterfeit.training import few

if TYPE_CHECKING:
    from counterfeit.training.trainer import Training

FEW = 900  # steps: two epochs of MNIST are 936, and give digits
LARGE, MUCH, LONG = 20_000_000, 2 << 30, 30 * 60  # weights, bytes of memory, and seconds that are worth a line
WARM, WATCHED = 3, 10.0  # steps that are slower than those after them; seconds after which the speed is known


def before(training: Training) -> Iterator[str]:
    """Sentences on a run that is about to begin."""
    if training.chosen:
        options = " ".join(f"{option(name)} {value}" for name, value in training.chosen.items())
        few_images = "steps" in training.chosen
        why = f"{len(training.data):,} images are few" if few_images else "a decay by epochs does not fit a budget"
        other = "--epochs" if few_images else "--lr-decay"
        yield f"{why}, so this run has {options}: give {other} to choose yourself"
    elif training.earlier is None:
        yield from advice(training)
    cost = cost_of(training.model, bool(training.config.ema))
    if cost:
        yield f"{training.recipe.name} has {cost}"


def advice(training: Training) -> Iterator[str]:
    """One line on a run of few steps, or of few images, with all options that help."""
    config, steps = training.config, training.plan.total
    said: list[str] = []
    options: list[str] = []
    if config.length[0] == "epochs" and steps < FEW:
        epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
        said.append(f"this run is {steps:,} steps ({epochs}), and good images need thousands")
        options.append(f"--steps {few.STEPS}")
    helpful = few.helpful(config, training.data.shape[0]) if len(training.data) < few.IMAGES else {}
    if helpful:
        said.append(f"{len(training.data):,} images are few for {training.recipe.name}, which may learn them by heart")
        options += [f"{option(name)} {value}" for name, value in helpful.items()]
    if said:
        yield f"{'; '.join(said)}: {' '.join(options)}"


def cost_of(model: Model, average: bool) -> str:
    """`190 million weights: …`, with what they take of memory and disk; "" where that is not much."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    memory = in_training(model, average) + in_saving(model)
    if weights <= LARGE and memory <= MUCH:
        return ""
    disk = in_training(model, average) * (ADAM - 1 + average) // (ADAM + average)  # all but the gradients
    return (
        f"{weights / 1e6:,.0f} million weights: they take {in_bytes(memory)} of memory, beside that of a batch, and "
        f"{in_bytes(disk)} of disk, twice that while a checkpoint is replaced"
    )


class Forecast:
    """How long a run takes, said once where that is long.

    Steps are timed as they come, so that on a GPU, which is asked ahead, there must be many of them.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._seen, self._said = 0, False

    def after(self, step: int, total: int, now: float) -> str | None:
        """The sentence, once the speed is known; `step` of `total` are done at the time `now`."""
        self._seen += 1
        if self._said or self._seen < WARM:
            return None
        if self._first is None:
            self._first = step, now
            return None
        done, since = self._first
        if now - since < WATCHED:
            return None
        self._said = True
        left = (total - step) * (now - since) / (step - done)
        if left < LONG:
            return None
        return (
            f"this takes about {durations.in_words(left)} here; Ctrl-C stops it with a checkpoint, and --budget 30m "
            "trains for as long as that"
        )
