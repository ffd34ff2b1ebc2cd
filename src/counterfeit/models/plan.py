"""Which step of a run is of which stage and epoch, and takes which batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from counterfeit.errors import InputError
from counterfeit.models.base import Stage


@dataclass(frozen=True)
class Part:
    """A stage's place in a run: its first step and epoch, how many epochs it has, of how many steps each."""

    stage: Stage
    first_step: int
    first_epoch: int
    epochs: int
    per_epoch: int

    @property
    def steps(self) -> int:
        return self.epochs * self.per_epoch


@dataclass(frozen=True)
class Plan:
    """The stages of a run, one after another. Steps and epochs count from the start of the run, done ones from 0."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, stages: Sequence[Stage], images: int, batch_size: int, epochs: int) -> Plan:
        """Raises InputError: an epoch has no full step, the run is too short for its stages, or those are none."""
        check(stages)
        parts: list[Part] = []
        step = epoch = 0
        for stage in stages:
            length = stage.epochs or epochs - epoch
            per_epoch = steps_per_epoch(images, batch_size, stage.batches)
            if length < 1:
                raise InputError(
                    f"--epochs is {epochs}, and the stages before {stage.name} take {epoch}: pass {epoch + 1} or more"
                )
            parts.append(Part(stage, step, epoch, length, per_epoch))
            step, epoch = step + parts[-1].steps, epoch + length
        return cls(tuple(parts))

    @property
    def total(self) -> int:
        """All steps of the run."""
        return self.parts[-1].first_step + self.parts[-1].steps

    def at(self, step: int) -> Part:
        """The part whose step comes next when `step` are done; after the end, the last part."""
        return next((p for p in self.parts if step < p.first_step + p.steps), self.parts[-1])

    def epoch(self, step: int) -> int:
        """Epochs that are over when `step` steps are done."""
        part = self.at(step)
        return part.first_epoch + (step - part.first_step) // part.per_epoch

    def epochs_done(self, step: int) -> float:
        """The same with the part of the epoch that is under way."""
        part = self.at(step)
        return part.first_epoch + (step - part.first_step) / part.per_epoch

    def ends_epoch(self, step: int) -> bool:
        """Whether the last of `step` done steps was the last one of an epoch."""
        part = self.at(step)
        return (step - part.first_step) % part.per_epoch == 0

    def progress(self, step: int) -> float:
        """The share of its part's steps that are done, when `step` are done in all."""
        part = self.at(step)
        return (step - part.first_step) / part.steps

    def batches(self, done: int) -> Iterator[tuple[int, int]]:
        """Epoch and number in it, both from 0, of every batch that is left when `done` steps are done."""
        for step in range(done, self.total):
            part = self.at(step)
            epoch, within = divmod(step - part.first_step, part.per_epoch)
            for k in range(part.stage.batches):
                yield part.first_epoch + epoch, within * part.stage.batches + k


def steps_per_epoch(images: int, batch_size: int, batches: int = 1) -> int:
    """Steps of `batches` full batches each in an epoch; InputError when there is none."""
    if images < batch_size * batches:
        if batches == 1:
            raise InputError(
                f"--batch-size {batch_size} is larger than the data set of {images} images; "
                f"pass --batch-size {images} or less"
            )
        smaller = f"pass --batch-size {images // batches} or less" if images // batches > 1 else "take fewer per step"
        raise InputError(
            f"a step takes {batches} batches of {batch_size} images, more than the {images} images of the data set: "
            f"{smaller}"
        )
    return images // (batch_size * batches)


def check(stages: Sequence[Stage]) -> None:
    """InputError where stages are not what `Stage` says: a fault of the model, which a run would not survive."""
    if not stages:
        raise InputError("the model has no stages: stages() must give one or more")
    for number, stage in enumerate(stages):
        if stage.batches < 1:
            raise InputError(f"the stage {stage.name!r} takes {stage.batches} batches per step: give it 1 or more")
        if (stage.epochs is None) != (number == len(stages) - 1) or (stage.epochs is not None and stage.epochs < 1):
            raise InputError(
                f"the stage {stage.name!r} has epochs={stage.epochs}: every stage but the last has 1 or more, and the "
                "last has None, since it goes on to the end of the run"
            )
