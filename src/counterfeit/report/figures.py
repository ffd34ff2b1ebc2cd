"""The charts of a comparison, and the text that replaces each of them for readers who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from counterfeit.report import charts
from counterfeit.report.charts import Line, Series
from counterfeit.report.records import Metric, RunRow, Table
from counterfeit.report.svg import Style, line_swatch
from counterfeit.system import words

Styles = Mapping[str, Style]

STRIPS = ("FID", "KID", "IS", "human")
PLANES = (("Recall", "Precision"), ("Coverage", "Density"))
ENOUGH = 3  # rows with a known training time, from which on it is drawn against the score
BETTER = {"lower": "lower is better", "higher": "higher is better"}


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        title: text above the chart.
        svg: the chart.
        alt: its numbers in words.
        caption: text below the chart: how to read it.
        legend: swatches and their labels, for a chart with a legend of its own.
        dashed: whether a dashed line marks the value of real images.
        links: whether its points lead somewhere.
    """

    title: str
    svg: Markup
    alt: str
    caption: str
    legend: tuple[tuple[Markup, str], ...] = ()
    dashed: bool = False
    links: bool = False


def of_scores(
    table: Table, runs: Mapping[str, RunRow], styles: Styles, name: str, link: Callable[[str], str] | None = None
) -> list[Figure]:
    """FID, KID, IS and the human test by model, the score curve, precision against recall, density against coverage.

    Args:
        styles: style of each row, by label.
        name: name of the section, used for ids.
        link: the path of a run -> where its point on the frontier leads.
    """
    figures = [_strip(table, column, styles, f"{name}-{label}") for label in STRIPS for column in _named(table, label)]
    figures += _curves(table, runs, styles, f"{name}-curves")
    for column in _named(table, "FID"):
        figures += _frontier(table, column, styles, f"{name}-frontier", link)
    for x, y in PLANES:
        for across, up in zip(_named(table, x), _named(table, y), strict=False):
            figures.append(_plane(table, across, up, styles, f"{name}-{x}"))
    return figures


def of_losses(table: Table, runs: Mapping[str, RunRow], name: str) -> list[Figure]:
    """The losses of every row over the epochs, one line per seed and term."""
    figures = []
    for i, row in enumerate(table.rows):
        of_row = [run for run in row.found(runs) if run.losses.get("epoch")]
        terms = list(dict.fromkeys(t for run in of_row for t in run.losses if t != "epoch"))
        if terms:
            figures.append(_losses(row.label, of_row, terms, f"{name}-losses-{i}"))
    return figures


def _named(table: Table, label: str) -> list[Metric]:
    return [column for column in table.columns if column.label == label]


def _strip(table: Table, column: Metric, styles: Styles, name: str) -> Figure:
    rows = [
        Series(row.label, styles[row.label], row.metrics[column].values) for row in table.rows if column in row.metrics
    ]
    floor = table.floors.get(column)
    better = BETTER.get(table.better[column], table.better[column])
    values = "; ".join(f"{row.label} {row.metrics[column]}" for row in table.rows if column in row.metrics)
    far = floor is not None and charts.out_of_sight(floor, rows)
    of_floor = (
        ""
        if floor is None
        else f" Real images{', far to the left' if far else ', dashed'}: {table.real_images(column)}."
    )
    return Figure(
        str(column),
        charts.strip(name, rows, floor),
        f"{column} by model, {better}: {values}.{of_floor}",
        f"A point a seed, {better}; the tick and the number are the mean over seeds.{of_floor}",
        dashed=floor is not None and not far,
    )


def _frontier(
    table: Table, column: Metric, styles: Styles, name: str, link: Callable[[str], str] | None
) -> list[Figure]:
    """One figure, or none where few rows have both a score and a known time."""
    rows, price, links = [], {}, []
    for row in table.rows:
        scores, seconds = row.metrics.get(column), row.train_seconds
        if scores and seconds and min(seconds.values) > 0 and min(scores.values) > 0:
            minutes = Series(row.label, styles[row.label], [value / 60 for value in seconds.values])
            rows.append((minutes, Series(row.label, styles[row.label], scores.values)))
            price[row.label] = f"{words.duration(seconds.mean)} for {scores}"
            links += [[link(path) for path in row.runs]] if link and len(row.runs) == len(scores.values) else []
    if len(rows) < ENOUGH:
        return []
    links = links if len(links) == len(rows) else []
    figure = Figure(
        f"{column.label} against training time",
        charts.frontier(name, rows, table.floors.get(column), "minutes of training", str(column), links),
        f"{column} by training time: " + "; ".join(f"{label} {what}" for label, what in price.items()) + ".",
        "A point a seed; down and to the left is better. The line: the best score for the time, by mean.",
        dashed=table.floors.get(column) is not None,
        links=bool(links),
    )
    return [figure]


def _plane(table: Table, x: Metric, y: Metric, styles: Styles, name: str) -> Figure:
    rows = [row for row in table.rows if x in row.metrics and y in row.metrics]
    pairs = []
    for row in rows:
        across, up = (Series(row.label, styles[row.label], row.metrics[c].values) for c in (x, y))
        pairs.append((across, up))
    at_x, at_y = table.floors.get(x), table.floors.get(y)
    floor = None if at_x is None or at_y is None else (at_x, at_y)
    values = "; ".join(f"{row.label} {row.metrics[x]}, {row.metrics[y]}" for row in rows)
    of_floor = "" if floor is None else f" Real images, dashed: {table.real_images(x)}, {table.real_images(y)}."
    return Figure(
        f"{y.label} against {x.label.lower()}",
        charts.plane(name, pairs, floor, str(x), str(y)),
        f"{x} and {y} by model: {values}.{of_floor}",
        f"A point a seed; up and to the right is better.{of_floor}",
        dashed=floor is not None,
    )


def _curves(table: Table, runs: Mapping[str, RunRow], styles: Styles, name: str) -> list[Figure]:
    """One figure, or none, of the rows that were scored during training by the same detector on as many samples."""
    lines, ends, of = [], [], None
    for row in table.rows:
        style = styles[row.label]
        scored = [run.curve for run in row.found(runs) if run.curve]
        for i, curve in enumerate(scored):
            of = of or (curve.name, curve.n)
            if (curve.name, curve.n) == of:
                epochs, values = zip(*curve.points, strict=True)
                lines.append(Line(epochs, values, style.color, faint=i > 0, marker=style.marker))
        if scored and row.curve:
            ends.append(f"{row.label} best {row.curve.best} at epoch {row.curve.best_epoch}, final {row.curve.final}")
    if of is None:
        return []
    caption = f"{of[1]:,} samples an epoch, a line a seed. Hollow markers: the best epoch; filled: the last."
    return [
        Figure(
            f"{of[0]} while training",
            charts.curves(name, [lines], str(of[0]), 300),
            f"{of[0]} of {of[1]:,} samples over the epochs: {'; '.join(ends)}.",
            caption,
        )
    ]


def _losses(label: str, of_row: Sequence[RunRow], terms: Sequence[str], name: str) -> Figure:
    looks = {term: charts.term_style(i) for i, term in enumerate(terms)}
    lines = [
        Line(*known, *looks[term], faint=i > 0, dot=run.test_losses.get(term))
        for i, run in enumerate(of_row)
        for term in terms
        if (known := _known(run.losses, term))
    ]
    ends = ", ".join(
        f"{term} {words.number(known[1][-1])}" for term in terms if (known := _known(of_row[0].losses, term))
    )
    seeds = words.named_seeds([run.seed for run in of_row])
    tested = any(run.test_losses for run in of_row)
    return Figure(
        label,
        charts.curves(name, charts.panels_of(lines), of_row[0].loss_unit or "loss", 220),
        f"Training losses of {label} over {of_row[0].epochs} epochs, {seeds}; at the end of {of_row[0].path}: {ends}.",
        f"{words.listed(run.path for run in of_row)}." + (" Dots: on the test set." if tested else ""),
        tuple((line_swatch(*looks[term]), term) for term in terms),
    )


def _known(
    losses: Mapping[str, Sequence[float | None]], term: str
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Epochs and values of a loss, without the epochs where it was not logged; None if there are none."""
    points = [point for point in zip(losses["epoch"], losses.get(term, ()), strict=False) if point[1] is not None]
    return tuple(zip(*points, strict=True)) if points else None  # type: ignore[return-value]
