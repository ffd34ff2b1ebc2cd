"""The tables of a report, as rows of cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from counterfeit.report.records import Metric, Row, RunRow, Spread, Table, mean, shown
from counterfeit.system import words

ARROWS = {"lower": "↓", "higher": "↑"}
LIKE_TEST = "like the test set"
OF_TEST = " (test)"


@dataclass(frozen=True)
class Head:
    """The head of a column: its label, smaller text below it, and an arrow towards better values."""

    label: str
    detail: str = ""
    arrow: str = ""


@dataclass(frozen=True)
class Cell:
    """A table cell: `best` of its column or not; `shade`, 0 to 1, is the strength of its color, None for no color."""

    text: str
    best: bool = False
    shade: float | None = None
    flag: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table; `label` names a model, or is the title of a row of baselines."""

    label: str
    cells: tuple[Cell, ...]
    floor: bool = False


@dataclass(frozen=True)
class Sheet:
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]


def scores(table: Table) -> Sheet:
    """Ranks, mean ± std over seeds of every score, score curves, times and sizes; the last row holds the baselines."""
    rows, names = table.rows, [c for c in table.columns if table.better[c] != LIKE_TEST]
    seeds = Head("Seeds" if any(len(row.seeds) > 1 for row in rows) else "Seed")
    heads = [Head("Rank"), seeds, *(_head(name, table.better[name]) for name in names)]
    of_names = [_of_column(rows, name, table.better[name]) for name in names]
    columns = [_ranks(rows), [Cell(words.seeds(row.seeds)) for row in rows], *of_names]
    curve = next((row.curve for row in rows if row.curve), None)
    if curve is not None:
        label, of = curve.name.label, f"{curve.name.detector}, n {curve.n:,}"
        heads += [Head(f"Best {label}", of, "↓"), Head("at epoch"), Head(f"Final {label}", of, "↓")]
        columns += ([Cell(row.curve_cells()[i]) for row in rows] for i in range(3))
    heads += [Head("Training"), Head("Images/s"), Head("Parameters")]
    columns.append([Cell(words.duration(mean(row.train_seconds))) for row in rows])
    columns.append([Cell(words.whole(mean(row.images_per_s))) for row in rows])
    columns.append([Cell(f"{row.parameters:,}") for row in rows])
    lines = [Line(row.label, tuple(column[i] for column in columns)) for i, row in enumerate(rows)]
    floors = [Cell(table.real_images(name)) for name in names]
    if any(table.floors.get(name) is not None for name in names):
        rest = [Cell("")] * (len(heads) - 2 - len(names))
        lines.append(Line("real images", (Cell(""), Cell(""), *floors, *rest), floor=True))
    return Sheet(tuple(heads), tuple(lines))


def memorization(table: Table, runs: Mapping[str, RunRow]) -> Sheet | None:
    """The scores whose ideal is the test set's own value, which is the last row; None if there are none."""
    names = [c for c in table.columns if table.better[c] == LIKE_TEST and OF_TEST not in c.label]
    if not names:
        return None
    lines = []
    for row in table.rows:
        flagged = {name: _flagged(row, name, runs) for name in names}
        cells = (Cell(shown(row.metrics.get(name)), flag=flagged[name]) for name in names)
        lines.append(Line(row.label, tuple(cells)))
    tests = [_test_value(table, name) for name in names]
    lines.append(Line("real test images", tuple(Cell(shown(value)) for value in tests), floor=True))
    return Sheet(tuple(_head(name, LIKE_TEST) for name in names), tuple(lines))


def flags(table: Table, runs: Mapping[str, RunRow]) -> list[str]:
    """One item for every row and memorization score that flags it: `gan (Near-copies, 2 of 3 seeds)`."""
    found = []
    for row in table.rows:
        of_row = {name: _flagged(row, name, runs) for name in table.columns if OF_TEST not in name.label}
        found += [f"{row.label} ({name.label}, {flag})" for name, flag in of_row.items() if flag]
    return found


FLAGGING = ("Near-copies", "C_T")  # scores that can flag a model for copying
OF_A_CLASS = {
    "Label-accuracy": "Share of the images asked for as a class that the detector takes for it, mean over seeds.",
    "Class-KL": "Share of the samples that the detector takes for a class, mean over seeds: the modes it covers.",
}


def classes(table: Table, runs: Mapping[str, RunRow]) -> list[tuple[str, str, Sheet]]:
    """Name, caption and table of every score with a value per class; one row per model, means over seeds."""
    sheets = []
    for name in table.columns:
        of_rows = {row.label: _class_means(row, name, runs) for row in table.rows}
        known = list(dict.fromkeys(c for means in of_rows.values() for c in means))
        if known:
            lines = [
                Line(label, tuple(Cell(f"{means[c]:.3f}", shade=means[c]) if c in means else Cell("") for c in known))
                for label, means in of_rows.items()
                if means
            ]
            caption = OF_A_CLASS.get(name.label, "Class by class, mean over seeds.")
            sheets.append((str(name), caption, Sheet(tuple(Head(f"class {c}") for c in known), tuple(lines))))
    return sheets


def _head(name: Metric, better: str) -> Head:
    return Head(name.label, name.detector, ARROWS.get(better, ""))


def _of_column(rows: Sequence[Row], name: Metric, better: str) -> list[Cell]:
    means = [row.metrics[name].mean if name in row.metrics else None for row in rows]
    known = [mean for mean in means if mean is not None]
    best = (min(known) if better == "lower" else max(known)) if len(set(known)) > 1 else None
    return [
        Cell(shown(row.metrics.get(name)), best=mean is not None and mean == best)
        for row, mean in zip(rows, means, strict=True)
    ]


def _ranks(rows: Sequence[Row]) -> list[Cell]:
    shared = Counter(row.rank for row in rows)
    return [Cell(words.DASH if (r := row.rank) is None else f"{r}{'=' if shared[r] > 1 else ''}") for row in rows]


def _test_value(table: Table, name: Metric) -> Spread | None:
    """The value of the test set, the same for every model: `C_T (test)[…]` beside `C_T[…]`."""
    beside = Metric(name.label + OF_TEST, name.detector)
    return next((row.metrics[beside] for row in table.rows if beside in row.metrics), None)


def _flagged(row: Row, name: Metric, runs: Mapping[str, RunRow]) -> str:
    """`2 of 3 seeds` if a score flags runs of the row, otherwise an empty string."""
    of = [run.score.metrics.get(name) for run in row.found(runs)]
    hits = sum(one is not None and bool(one.extras.get("flagged")) for one in of)
    return f"{hits} of {words.count(len(of), 'seed')}" if hits else ""


def _class_means(row: Row, name: Metric, runs: Mapping[str, RunRow]) -> dict[str, float]:
    """Class -> mean over the seeds, from the extras class_0, class_1, …"""
    values: dict[str, list[float]] = {}
    for one in (run.score.metrics.get(name) for run in row.found(runs)):
        for key, value in one.extras.items() if one else ():
            if key.startswith("class_"):
                values.setdefault(key.removeprefix("class_"), []).append(value)
    return {c: sum(v) / len(v) for c, v in sorted(values.items(), key=lambda kv: (len(kv[0]), kv[0]))}
