"""Runs side by side: the tables of `counterfeit compare`, from scores that are there already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfeit.app.shelf import Shelved
from counterfeit.comparison.collect import record
from counterfeit.comparison.grid import Member
from counterfeit.comparison.judged import of_one_test
from counterfeit.comparison.scored import shared_scores
from counterfeit.comparison.table import tables
from counterfeit.errors import InputError
from counterfeit.report import figures, sheet
from counterfeit.report.records import RunRow, Table
from counterfeit.report.svg import Style
from counterfeit.run import Run
from counterfeit.system.files import Stamp, stamp

MOST_KEPT = 8  # comparisons
DEVICE = "cpu"  # what is computed here is little, and a GPU may be training


@dataclass(frozen=True)
class Section:
    """The runs of one data set that were scored in the same way.

    Attributes:
        table: see `report.records`.
        scores: its rows as cells.
        charts: of its scores.
        of_row: label of a row -> the ids of its runs.
    """

    table: Table
    scores: sheet.Sheet
    charts: list[figures.Figure]
    of_row: Mapping[str, list[str]]


@dataclass(frozen=True)
class Contrast:
    """What a comparison of runs found.

    Attributes:
        sections: one for every data set and way of scoring.
        styles: of rows, by label.
        notes: sentences on rows and scores.
        unscored: runs without a score of their present weights, or with none in the same way as the others.
    """

    sections: list[Section]
    styles: Mapping[str, Style]
    notes: list[str]
    unscored: list[Shelved]


_kept: dict[Any, Contrast] = {}
_at_work = threading.Lock()


def contrast(runs: Sequence[Shelved], link: Callable[[str], str]) -> Contrast:
    """Compare runs; the same ones are not compared again until one of them has changed.

    Args:
        runs: of the shelf.
        link: id of a run -> where a point of a chart leads.
    """
    key = tuple((run.id, _stamps(run)) for run in runs)
    with _at_work:
        if key not in _kept:
            while len(_kept) >= MOST_KEPT:
                del _kept[next(iter(_kept))]
            _kept[key] = _contrast(runs, link)
        return _kept[key]


def _contrast(runs: Sequence[Shelved], link: Callable[[str], str]) -> Contrast:
    ids = {str(run.folder.path): run.id for run in runs}
    members = [member for run in runs for member in _members(run)]
    scored = [one for one in members if shared_scores([one], {}, None, DEVICE, quiet=True)]
    shared = shared_scores(scored, {}, None, DEVICE, quiet=True)
    rows = [row for member in members if member.path in shared for row in _rows(member.path, shared[member.path])]
    rows, of_people = of_one_test(rows)
    made, notes = tables(rows)
    labels = dict.fromkeys(row.label for table in made for row in table.rows)
    styles = {label: Style.of(i) for i, label in enumerate(labels)}
    by_path = {row.path: row for row in rows}
    sections = [
        Section(
            table,
            sheet.scores(table),
            figures.of_scores(table, by_path, styles, f"compare-{place}", lambda path: link(ids[path])),
            {row.label: [ids[path] for path in row.runs if path in ids] for row in table.rows},
        )
        for place, table in enumerate(made)
    ]
    return Contrast(
        sections, styles, [*notes, *of_people], [run for run in runs if str(run.folder.path) not in by_path]
    )


def _members(run: Shelved) -> list[Member]:
    """The run as one of a comparison; none where it cannot be read."""
    try:
        found = run.folder.read_record()
    except InputError:
        return []
    return [Member(found.model, found.config, str(run.folder.path))]


def _rows(path: str, score: dict[str, Any]) -> list[RunRow]:
    try:
        return [record(Run(path, DEVICE, path), score)]
    except InputError:  # it was changed or removed just now
        return []


def _stamps(run: Shelved) -> tuple[Stamp | None, ...]:
    """What changes when a run does."""
    folder = run.folder
    found: list[Stamp | None] = []
    for path in (folder.record_file, folder.checkpoint, folder.log_file, folder.path / "scores"):
        try:
            found.append(stamp(path.stat()))
        except OSError:
            found.append(None)
    return tuple(found)
