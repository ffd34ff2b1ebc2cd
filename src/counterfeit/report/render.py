"""Render the page: what a comparison found, in reading order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfeit.pages import environment
from counterfeit.report import figures, sheet
from counterfeit.report.embed import embed
from counterfeit.report.gallery import Pictures, galleries, neighbors, used
from counterfeit.report.records import Comparison, RunRow, Table
from counterfeit.report.svg import Style
from counterfeit.system import words
from counterfeit.system.console import decoration

TEMPLATES = Path(__file__).parent / "templates"


def render(comparison: Comparison, pictures: Pictures) -> str:
    """Render the report as one HTML page without scripts or network requests.

    Args:
        comparison: the content of comparison.json, as `records.of_json` reads it.
        pictures: run path -> kind -> PNG file, as drawn by `comparison.pictures`; missing ones are left out. A row
            shows the images of its first run that has any.
    """
    tables = comparison.tables
    runs = {run.path: run for run in comparison.runs}
    labels = dict.fromkeys(row.label for table in tables for row in table.rows)
    styles = {label: Style.of(i) for i, label in enumerate(labels)}
    embedded, faults = embed(used(tables, pictures))
    sections = []
    for i, table in enumerate(tables):
        name = _anchor(table.data, i)
        shown = {
            "galleries": galleries(table, pictures, embedded),
            "neighbors": neighbors(table, pictures, embedded),
        }
        sections.append({"id": name, "title": _title(table, tables), **_section(table, runs, styles, name), **shown})
    return (
        environment(TEMPLATES)
        .get_template("report.html")
        .render(
            comparison=comparison,
            summary=summary(comparison),
            models={run.model: run.title for run in comparison.runs},
            styles=styles,
            sections=sections,
            notes=[*comparison.notes, *faults],
            made_by=comparison.made_by,
        )
    )


def _section(table: Table, runs: Mapping[str, RunRow], styles: Mapping[str, Style], name: str) -> dict[str, Any]:
    """The variables that the template needs for a table, except images."""
    charts = _drawn(lambda: figures.of_scores(table, runs, styles, name), table.data)
    found = [run for row in table.rows for run in row.found(runs)]
    return {
        "table": table,
        "several_seeds": any(len(row.seeds) > 1 for row in table.rows),
        "scores": sheet.scores(table),
        "charts": charts,
        "dashed": any(figure.dashed for figure in charts),
        "losses": _drawn(lambda: figures.of_losses(table, runs, name), table.data),
        "memorization": sheet.memorization(table, runs),
        "flags": sheet.flags(table, runs),
        "tested": any(name.label in sheet.FLAGGING for name in table.columns),
        "classes": sheet.classes(table, runs),
        "notes": _notes(table, runs),
        "remarks": [(run.path, remark) for run in found for remark in run.remarks],
        "runs": found,
    }


def _drawn(charts: Callable[[], list[figures.Figure]], data: str) -> list[figures.Figure]:
    """Draw the charts. If one fails, the page goes without them and a warning is printed."""
    with decoration(f"charts of {data} for the report"):
        return charts()
    return []


def summary(comparison: Comparison) -> list[str]:
    """Sentences on what was compared and how, and on which model leads."""
    tables, runs = comparison.tables, comparison.runs
    labels = dict.fromkeys(row.label for table in tables for row in table.rows)
    data = words.listed(dict.fromkeys(table.data for table in tables))
    seeds = sorted({run.seed for run in runs})
    lines = []
    if runs:
        lines.append(
            f"{words.count(len(labels), 'model').capitalize()} on {data}, {words.named_seeds(seeds)}: "
            f"{words.count(len(runs), 'run')}, each sampled and scored in the same way."
        )
    for table in tables:
        lines += _leader(table)
    if comparison.failures:
        lines.append(f"{words.count(len(comparison.failures), 'run')} failed, see below.")
    return lines or ["There is nothing to compare: no run was brought to its end."]


def _leader(table: Table) -> list[str]:
    by = table.ranked_by
    rows = [row for row in table.rows if by in row.metrics]
    if by is None or len(rows) < 2:
        return []
    first = rows[0]
    tied = [row.label for row in rows if row.rank == 1]
    floor = table.floors.get(by)
    beside = "" if floor is None else f"; real images get {table.real_images(by)}"
    value = first.metrics[by]
    untested = [row.label for row in rows if row.rank is None]
    if first.rank is None:
        lead = f"{first.label} has the best value, {value}, of one seed, which decides nothing"
    elif len(tied) > 1:
        lead = f"{words.listed(tied)} share the lead, with {value} for {first.label}"
    elif untested:
        lead = f"{first.label} has the best mean, {value}; of {words.listed(untested)} there is one seed, and no test"
    else:
        lead = f"{first.label} leads with {value}"
    return [f"By {by} on {table.data}, {lead}{beside}."]


def _title(table: Table, tables: Sequence[Table]) -> str:
    """The data set; with the detector and the number of samples if the data set has several tables."""
    if sum(other.data == table.data for other in tables) == 1:
        return str(table.data)
    how = table.protocol
    return f"{table.data}, {how.n:,} samples by {how.detector['name']} against {how.real['name']}"


def _anchor(data: str, place: int) -> str:
    return f"{re.sub('[^a-z0-9]+', '-', data.lower()).strip('-') or 'data'}-{place}"


def _notes(table: Table, runs: Mapping[str, RunRow]) -> list[str]:
    """The notes of the scores: each sentence once, with the runs that it applies to."""
    about: dict[str, list[str]] = {}
    for row in table.rows:
        for run in row.found(runs):
            for name, one in run.score.metrics.items():
                for note in one.notes:
                    about.setdefault(f"{name}: {note}", []).append(run.path)
    return [f"{note} ({words.listed(paths)})" for note, paths in about.items()]
