"""A score: named values, each with its uncertainty and its baseline, and the receipt of how they were measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta
from rich.table import Table

from counterfeit.display.score import page
from counterfeit.errors import InputError
from counterfeit.settings import fit_fields
from counterfeit.system import reading
from counterfeit.system.arguments import shown
from counterfeit.system.console import as_text, say
from counterfeit.system.words import number, plus_minus

Count = Annotated[int, Meta(ge=0, le=reading.COUNT)]
TITLES = ("metric", "value", "±", "real against real", "better")


@dataclass(frozen=True)
class Scored:
    """One metric's value for the generated images.

    Attributes:
        value: the number.
        uncertainty: the number after ±, in the unit of the value, or None if there is no estimate.
        uncertainty_kind: what this number is, such as a standard error.
        floor: the baseline: the same metric for real images in place of the generated ones (the mean over
            `floor_draws`), or None if there are not enough real images.
        better: "lower", "higher" or "like the test set".
        extras: other numbers of the same measurement.
        notes: warnings for the reader, such as too few images.
        floor_std: the standard deviation (ddof 1) of the baseline over its draws, or for a single draw its standard
            error.
        floor_draws: number of sets of real images that the baseline is the mean of; 0 if there is none, or if it is
            unknown in a score of an older version.
    """

    value: float
    uncertainty: float | None
    uncertainty_kind: str
    floor: float | None
    better: str
    extras: dict[str, float]
    notes: tuple[str, ...]
    floor_std: float | None = None
    floor_draws: int = 0


class NoSuchScore(InputError, KeyError):
    """The score has no metric of this name: an InputError, and also the KeyError that the methods of Mapping expect."""


@dataclass(frozen=True)
class Score(Mapping[str, Scored]):
    """The values by name, as in `score["FID[mnist-cnn]"].value`, and a receipt.

    Attributes:
        metrics: the values, by the name of the metric with its detector.
        receipt: which images, detector, protocol, seeds and versions; JSON types throughout.
    """

    metrics: dict[str, Scored]
    receipt: dict[str, Any]

    def __post_init__(self) -> None:
        fit_fields(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about the whole measurement, such as that the run is not finished."""
        return tuple(self.receipt.get("notes", ()))

    def noted(self, *notes: str) -> Score:
        """A copy of this score with more notes in its receipt."""
        return replace(self, receipt={**self.receipt, "notes": [*self.notes, *notes]}) if notes else self

    def __getitem__(self, name: str) -> Scored:
        try:
            return self.metrics[name]
        except (KeyError, TypeError):  # TypeError: a list cannot be a key
            known = ", ".join(self.metrics)
            raise NoSuchScore(f"this score has no {shown(name)}; it has {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """{"metrics": {name: {"value": …, …}}, "receipt": {…}}, of plain types, as --json prints it."""
        return {"metrics": msgspec.to_builtins(self.metrics), "receipt": self.receipt}

    def table(self) -> str:
        """The table that the command line prints."""
        table = Table(box=None, pad_edge=False)
        for column in TITLES:
            table.add_column(column, justify="left" if column in ("metric", "better") else "right")
        for name, *cells in self._cells():
            table.add_row(name.replace("[", "\\["), *cells)
        return "\n".join([as_text(table, 110), *self._lines()])

    def _repr_html_(self) -> str:
        """The table in a notebook, with the receipt."""
        return page(TITLES, self._cells(), self._lines(), self.receipt)

    def _cells(self) -> list[list[str]]:
        """A row per metric, as TITLES says."""
        rows = []
        for name, scored in self.metrics.items():
            floor = "" if scored.floor is None else plus_minus({"mean": scored.floor, "std": scored.floor_std})
            spread = "" if scored.uncertainty is None else number(scored.uncertainty, 2)
            rows.append([name, number(scored.value), spread, floor, scored.better])
        return rows

    def _lines(self) -> list[str]:
        """The notes below the table; one on several metrics is there once."""
        noted: dict[str, list[str]] = {}
        for name, scored in self.metrics.items():
            for note in scored.notes:
                noted.setdefault(note, []).append(name)
        return [*(f"{', '.join(names)}: {note}" for note, names in noted.items()), *self.notes]


class _Named(TypedDict, total=False):
    name: str
    split: str


class _Generated(_Named, total=False):
    finished: bool
    epochs_done: Count
    epochs: Count
    step: Count


class Circumstances(TypedDict, total=False):
    """The types of a receipt's circumstances, see `receipt.CIRCUMSTANCES`; they are checked nowhere else."""

    real: _Named
    floor: _Named | None
    floor_of_classes: _Named | None
    train: _Named | None
    generated: _Generated
    versions: dict[str, str]
    machine: dict[str, str | int | float | bool | None]
    time: str
    command: list[str]
    code_revision: str | None
    seconds: float
    notes: list[str]
    unidentified: list[str]
    run: str


def stored(path: Path) -> Score:
    """Read a score that `RunFolder.write_score` stored and check every type. Raises OSError or reading.Malformed."""
    score = reading.record(reading.content(path), Score)
    reading.converted(score.receipt, Circumstances)
    return score


def ignored(path: Path, error: OSError | reading.Malformed) -> None:
    """Say that a file is not read as a score, and why."""
    say(f"{path} is ignored, since it cannot be read as a score ({reading.reason(error)})")
