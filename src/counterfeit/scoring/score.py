"""A score: named values, each with its uncertainty and its floor, and the receipt of how they came about."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from counterfeit.errors import InputError
from counterfeit.words import number


@dataclass(frozen=True)
class Scored:
    """One metric's value of the generated images.

    Attributes:
        value: the number.
        uncertainty: what stands after the ±, in the value's unit, or None where none can be given.
        uncertainty_kind: what that covers.
        floor: the same metric of real images against real images, or None where there are none to spare.
        better: "lower", "higher" or "like the test set".
        extras: further numbers of the same measurement.
        notes: what a reader has to know: too few images, a flag.
    """

    value: float
    uncertainty: float | None
    uncertainty_kind: str
    floor: float | None
    better: str
    extras: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Score(Mapping[str, Scored]):
    """Values by printed name, `score["FID[mnist-cnn]"].value`, and the receipt.

    Attributes:
        metrics: name with its detector -> value.
        receipt: which images, detector, protocol, seeds and versions; JSON types throughout.
    """

    metrics: dict[str, Scored]
    receipt: dict[str, Any]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know of the whole measurement, such as that the run is not finished."""
        return tuple(self.receipt.get("notes", ()))

    def noted(self, *notes: str) -> Score:
        """This score with more notes, in its receipt."""
        return replace(self, receipt={**self.receipt, "notes": [*self.notes, *notes]}) if notes else self

    def __getitem__(self, name: str) -> Scored:
        if name not in self.metrics:
            raise InputError(f"this score has no {name!r}; it has {', '.join(self.metrics)}")
        return self.metrics[name]

    def __contains__(self, name: object) -> bool:
        return name in self.metrics

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """{"metrics": {name: {"value": …, …}}, "receipt": {…}}, plain types, as --json prints it."""
        return {"metrics": msgspec.to_builtins(self.metrics), "receipt": self.receipt}

    def table(self) -> str:
        """What a person reads in a terminal."""
        table = Table(box=None, pad_edge=False)
        for column in ("metric", "value", "±", "real against real", "better"):
            table.add_column(column, justify="left" if column in ("metric", "better") else "right")
        for name, scored in self.metrics.items():
            floor = "" if scored.floor is None else number(scored.floor)
            spread = "" if scored.uncertainty is None else number(scored.uncertainty, 2)
            table.add_row(name.replace("[", "\\["), number(scored.value), spread, floor, scored.better)
        page = Console(file=io.StringIO(), emoji=False, width=110, highlight=False)
        page.print(table)
        noted = [f"{name}: {note}" for name, scored in self.metrics.items() for note in scored.notes]
        return "\n".join([page.file.getvalue().rstrip(), *noted, *self.notes])  # type: ignore[attr-defined]
