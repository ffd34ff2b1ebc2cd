"""Render a comparison's tables for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.markup import escape as literal
from rich.table import Table as Sheet

from counterfeit.comparison import escape
from counterfeit.report.records import Comparison, RunRow, Table, mean, shown
from counterfeit.system.console import as_text
from counterfeit.system.text import harmless
from counterfeit.system.words import compared_with, whole


def header(table: Table) -> list[str]:
    """Column titles of `rows`."""
    curve = next((row.curve for row in table.rows if row.curve), None)
    of_curve = [] if curve is None else [f"best {curve.name} (n {curve.n:,})", "at epoch", "final"]
    return ["rank", "model", "seeds", *map(str, table.columns), *of_curve, "train s", "images/s", "parameters"]


def rows(table: Table) -> list[list[str]]:
    """The cells of every row, and of a last row with the floors."""
    with_curve = any(row.curve for row in table.rows)
    cells = []
    for row in table.rows:
        cells.append(
            [
                "–" if row.rank is None else str(row.rank),
                row.label,
                str(len(row.seeds)),
                *(shown(row.metrics.get(name)) for name in table.columns),
                *(row.curve_cells() if with_curve else []),
                whole(mean(row.train_seconds)),
                whole(mean(row.images_per_s)),
                f"{row.parameters:,}",
            ]
        )
    floors = [table.real_images(name) for name in table.columns]
    return [*cells, ["", "real images", "", *floors, *[""] * (6 if with_curve else 3)]]


def under(table: Table) -> str:
    """The text below a table: what a reader has to know."""
    p = table.protocol
    shared = ", ".join(f"{key} {value}" for key, value in table.shared_settings.items())
    more = f" All with {shared}." if shared else ""
    return (
        f"{p.n:,} samples against {compared_with(p.real)}, detector "
        f"{p.detector['name']} ({p.detector['protocol']}); mean ± standard deviation over seeds.{more} "
        f"{table.ranking()}"
    )


def markdown(comparison: Comparison) -> str:
    """Render all tables, the notes and the failures as Markdown."""
    parts = [f"# {escape.markdown(comparison.title)}"]
    for table in comparison.tables:
        titles, *lines = ([escape.markdown(text) for text in line] for line in (header(table), *rows(table)))
        sheet = "\n".join(f"| {' | '.join(line)} |" for line in (titles, ["---"] * len(titles), *lines))
        parts += [f"## {escape.markdown(table.data)}", sheet, escape.paragraph(under(table))]
    parts += ["\n".join(map(escape.paragraph, said))] if (said := notes(comparison)) else []
    return "\n\n".join(parts) + "\n"


def terminal(comparison: Comparison) -> str:
    """Render all tables as text: one metric per line and one model per column, which leaves room for many metrics."""
    said = "\n".join(map(harmless, notes(comparison)))
    return "\n\n".join([*(_sheet(table) for table in comparison.tables), *[said] * bool(said)])


def _sheet(table: Table) -> str:
    titles, lines = header(table), rows(table)
    title = literal(harmless(table.data))
    sheet = Sheet(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    sheet.add_column("")
    for line in lines:
        sheet.add_column(harmless(line[1]).replace("[", "\\["), justify="right")
    for i, name in enumerate(titles):
        if i != 1 and any(line[i] for line in lines):
            sheet.add_row(harmless(name).replace("[", "\\["), *(line[i] for line in lines))
    return f"{as_text(sheet, 40 + 24 * len(lines))}\n{harmless(under(table))}"


def notes(comparison: Comparison) -> list[str]:
    """The notes, and one line per failure."""
    failed = [f"failed: {failure.run}: {failure.error}" for failure in comparison.failures]
    return [*comparison.notes, *failed]


def to_csv(runs: Sequence[RunRow]) -> str:
    """Render one line per run: model, data, seed, every score, seconds; numbers in full precision."""
    names = list(dict.fromkeys(name for run in runs for name in run.score.metrics))
    first, last = ("label", "model", "data", "seed", "epochs", "path"), ("train_seconds", "images_per_s", "parameters")
    lines: list[list[Any]] = [[*first, *map(str, names), *last]]
    for run in runs:
        scores = [run.score.metrics[name].value if name in run.score.metrics else None for name in names]
        lines.append([*(getattr(run, key) for key in first), *scores, *(getattr(run, key) for key in last)])
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerows([[escape.cell(one) if isinstance(one, str) else one for one in line] for line in lines])
    return sheet.getvalue()
