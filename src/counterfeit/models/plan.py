"""Which step of a run is of which stage and epoch, and takes which batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from counterfeit.errors import InputError
from counterfeit.models.base import Model, Stage
from counterfeit.settings import RunSettings

UNPLANNED = 2**31 - 1  # steps of a run whose budget has not been measured yet: as many as there are
ROUND = 250  # steps after which a run of given steps is drawn, scored and saved, at the next end of an epoch


@dataclass(frozen=True)
class Part:
    """A stage's place in a run: its first step and epoch, how many steps it has, and an epoch of it.

    Attributes:
        round: after how many epochs each the run is drawn, scored and saved.
    """

    stage: Stage
    first_step: int
    first_epoch: int
    steps: int
    per_epoch: int
    round: int = 1

    @property
    def epochs(self) -> int:
        """Those that are begun: the last one may be cut short."""
        return -(-self.steps // self.per_epoch)


@dataclass(frozen=True)
class Plan:
    """The stages of a run, one after another. Steps and epochs count from the start of the run, done ones from 0.

    The length of a run is a number of epochs, or of steps. A run of given steps is drawn, scored and saved at the end
    of every so many epochs that they are ROUND steps or more: of few images, an epoch is a step or two.
    """

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, stages: Sequence[Stage], images: int, batch_size: int, epochs: int, steps: int | None = None) -> Plan:
        """Raises InputError: an epoch has no full step, the run is too short for its stages, or those are none.

        `steps`, of all stages together, take the place of `epochs`.
        """
        check(stages)
        parts: list[Part] = []
        step = epoch = 0
        for stage in stages:
            per_epoch = steps_per_epoch(images, batch_size, stage.batches)
            length = (
                _length(stage, per_epoch, epochs, epoch) if steps is None else _steps(stage, per_epoch, steps, step)
            )
            if length < 1:
                given, taken = ("--epochs", epoch) if steps is None else ("--steps", step)
                raise InputError(
                    f"{given} is {steps or epochs}, and the stages before {stage.name} take {taken}: pass {taken + 1} "
                    "or more"
                )
            between = 1 if steps is None else -(-ROUND // per_epoch)
            parts.append(Part(stage, step, epoch, length, per_epoch, between))
            step, epoch = step + length, epoch + parts[-1].epochs
        return cls(tuple(parts))

    @property
    def total(self) -> int:
        """All steps of the run."""
        return self.parts[-1].first_step + self.parts[-1].steps

    @property
    def epochs(self) -> int:
        """All epochs of the run, a last one that is cut short among them."""
        return self.parts[-1].first_epoch + self.parts[-1].epochs

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
        """Whether the last of `step` done steps was the last one of an epoch, after which the run is saved."""
        part = self.at(step)
        done = step - part.first_step
        return done == part.steps or done % (part.per_epoch * part.round) == 0

    def end_before(self, step: int) -> int:
        """The step at which the run was saved before it was at `step`, or the part's first one."""
        part = self.at(step - 1)
        between = part.per_epoch * part.round
        return part.first_step + (step - part.first_step - 1) // between * between

    def ends(self) -> Iterator[int]:
        """The epochs, from 1, after which the run is saved."""
        for part in self.parts:
            yield from range(part.first_epoch + part.round, part.first_epoch + part.epochs, part.round)
            yield part.first_epoch + part.epochs

    def due(self, epoch: int, every: int) -> bool:
        """Whether what is done every so many epochs, never if 0, and at the end of the run, is due after this one."""
        part = next(p for p in self.parts if epoch <= p.first_epoch + p.epochs)
        last = part.first_epoch + (epoch - part.first_epoch - 1) // part.round * part.round  # end before this one
        return bool(every) and (epoch == self.epochs or epoch // every > last // every)

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


def planned(model: Model, config: RunSettings, images: int) -> Plan:
    """The plan of a run of a model. Raises InputError as `Plan.of`."""
    steps = config.steps or (UNPLANNED if config.budget else None)
    return Plan.of(model.stages(), images, config.batch_size, config.epochs, steps)


def _length(stage: Stage, per_epoch: int, epochs: int, done: int) -> int:
    """The steps of a stage in a run of so many epochs, `done` of which are over."""
    return (stage.epochs or _share(stage, epochs) or epochs - done) * per_epoch


def _steps(stage: Stage, per_epoch: int, steps: int, done: int) -> int:
    """The steps of a stage in a run of so many, `done` of which are over."""
    return (stage.epochs or 0) * per_epoch or _share(stage, steps) or steps - done


def _share(stage: Stage, whole: int) -> int:
    """A stage's share of a run's epochs or steps, at least 1 and less than all; 0 where it has none."""
    return 0 if stage.share is None else max(1, min(round(stage.share * whole), whole - 1))


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
    if sum(stage.share or 0 for stage in stages) >= 1:
        raise InputError("the shares of the stages add up to 1 or more: they must leave some of the run to the last")
    for number, stage in enumerate(stages):
        if stage.batches < 1:
            raise InputError(f"the stage {stage.name!r} takes {stage.batches} batches per step: give it 1 or more")
        last, long = number == len(stages) - 1, stage.epochs is None or stage.epochs >= 1
        if not long or (stage.epochs is None and stage.share is None) != last:
            raise InputError(
                f"the stage {stage.name!r} has epochs={stage.epochs}: every stage but the last has 1 or more, or a "
                "share, and the last has None, since it goes on to the end of the run"
            )
        if stage.share is not None and (stage.epochs is not None or not 0 < stage.share < 1):
            raise InputError(
                f"the stage {stage.name!r} has share={stage.share}: give it a number between 0 and 1, and no epochs"
            )
