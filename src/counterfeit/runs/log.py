"""The rows of log.jsonl, with a type for each kind. In the file, a kind is recognized by its keys, in all versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterfeit.runs import troubles
from counterfeit.system import reading
from counterfeit.system.reading import Malformed
from counterfeit.system.words import label_and_detector

Json = dict[str, int | float]

RATE = "images_per_s"
TEST = "test_"
TROUBLE = "trouble"
COLUMNS = ("epoch", "step", RATE, TROUBLE)  # of a row, beside its losses


@dataclass(frozen=True)
class Steps:
    """The mean of every loss over the steps since the previous row. Some rows may lack a loss."""

    epoch: int
    step: int
    losses: Json
    images_per_s: float

    def to_json(self) -> Json:
        return {"epoch": self.epoch, "step": self.step, **self.losses, RATE: self.images_per_s}


@dataclass(frozen=True)
class EpochScore:
    """A score of samples at the end of an epoch; `name` includes the detector."""

    epoch: int
    step: int
    name: str
    value: float

    def to_json(self) -> Json:
        return {"epoch": self.epoch, "step": self.step, self.name: self.value}


@dataclass(frozen=True)
class OnTestSet:
    """The mean losses over the test set, at the end of training."""

    epoch: int
    step: int
    losses: Json

    def to_json(self) -> Json:
        return {"epoch": self.epoch, "step": self.step, **{f"{TEST}{name}": v for name, v in self.losses.items()}}


@dataclass(frozen=True)
class Trouble:
    """What was first seen to go wrong at the end of an epoch: a kind of `troubles.KINDS`, and its numbers."""

    epoch: int
    step: int
    kind: str
    numbers: Json

    def to_json(self) -> dict[str, int | float | str]:
        return {"epoch": self.epoch, "step": self.step, TROUBLE: self.kind, **self.numbers}

    def __str__(self) -> str:
        """One line, without the epoch."""
        return troubles.in_words(self.kind, self.numbers)


LogRow = Steps | EpochScore | OnTestSet | Trouble


def parsed(line: bytes) -> LogRow:
    """Parse a line of log.jsonl and check every type. Raises Malformed."""
    whole = reading.parsed(line)
    troubled = isinstance(whole, dict) and TROUBLE in whole
    kind = whole.pop(TROUBLE) if troubled else ""
    values = reading.converted(whole, Json)
    counts = {name: values.pop(name, None) for name in ("epoch", "step")}
    for name, count in counts.items():
        if not (isinstance(count, int) and 0 <= count <= reading.COUNT):
            raise Malformed(f"{name!r} must be a whole number that is not negative")
    epoch, step = (int(count or 0) for count in counts.values())
    if troubled:
        if isinstance(kind, str) and kind in troubles.KINDS and {*values} == {*troubles.KINDS[kind].numbers}:
            return Trouble(epoch, step, kind, values)
    elif RATE in values:
        rate = values.pop(RATE)
        if rate and not 0.01 <= rate < 1e12:  # rounded to a tenth
            raise Malformed(f"{RATE!r} is {rate:.3g}")
        if values:
            return Steps(epoch, step, values, rate)
    elif values and all(name.startswith(TEST) for name in values):
        return OnTestSet(epoch, step, {name.removeprefix(TEST): value for name, value in values.items()})
    elif len(values) == 1:
        ((name, value),) = values.items()
        if label_and_detector(name)[1]:
            return EpochScore(epoch, step, name, value)
    raise Malformed("it holds neither the losses of steps, nor those of a test set, nor one score, nor a trouble")


def terms(rows: Iterable[Steps]) -> list[str]:
    """The names of the losses that occur in the rows, in the order of their first occurrence."""
    return list(dict.fromkeys(name for row in rows for name in row.losses))


def curve(rows: Sequence[LogRow], name: str) -> list[tuple[int, float]]:
    """The values of a score: a list of (epoch, value)."""
    return [(row.epoch, row.value) for row in rows if isinstance(row, EpochScore) and row.name == name]


def score_names(rows: Sequence[LogRow]) -> list[str]:
    """The names of the scores in the log, sorted."""
    return sorted({row.name for row in rows if isinstance(row, EpochScore)})
