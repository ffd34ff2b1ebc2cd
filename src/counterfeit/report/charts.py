"""The charts of a report: seeds as points, baselines as lines, curves over epochs. Plain numbers in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from counterfeit.report.svg import COLORS, DASHES, INK, PAPER, QUIET, Style, chart
from counterfeit.system.drawing import Axes, MaxNLocator, logarithmic, scaled
from counterfeit.system.words import number, shortened

FAR = 30  # times below the lowest value: the baseline is out of sight
PARTED = 5  # times larger or smaller: the curve goes into another panel


@dataclass(frozen=True)
class Series:
    """The values of one row of the table.

    Attributes:
        label: label of the row.
        style: color and marker, the same in every chart of the report.
        values: one per seed.
    """

    label: str
    style: Style
    values: Sequence[float]


@dataclass(frozen=True)
class Line:
    """A curve over epochs.

    Attributes:
        x: epochs.
        y: values.
        color, dash: the same as in the legend.
        faint: draw it thin and pale; set for every seed after the first.
        dot: a single value shown at the end of the curve, such as the one on the test set.
        marker: marks the best and the final value; None for no marks.
    """

    x: Sequence[float]
    y: Sequence[float]
    color: str
    dash: str = "-"
    faint: bool = False
    dot: float | None = None
    marker: str | None = None


def strip(name: str, rows: Sequence[Series], floor: float | None) -> Markup:
    """One row per model: its seeds as points, their mean as a tick and as a number. The baseline is a dashed line.

    A baseline that is `out_of_sight` becomes an arrow at the edge, so that the axis shows the differences between
    models.
    """
    with chart(name, 64 + 30 * len(rows)) as ([axes], done):
        for y, row in enumerate(rows):
            mean = _mean(row.values)
            axes.plot([mean, mean], [y - 0.34, y + 0.34], color=QUIET, linewidth=1.5, solid_capstyle="butt")
            _points(axes, row.values, [y] * len(row.values), row.style)
            axes.text(1.02, y, number(mean), transform=axes.get_yaxis_transform(), va="center", color=INK)
        shown = [v for row in rows for v in row.values]
        if floor is not None and out_of_sight(floor, rows):
            axes.text(0.0, -0.62, f"◂ {number(floor)}", transform=axes.get_yaxis_transform(), va="bottom", color=QUIET)
        elif floor is not None:
            axes.axvline(floor, color=QUIET, linestyle="--", linewidth=1.2)
            shown.append(floor)
        axes.set_yticks(range(len(rows)), [shortened(row.label) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        scaled(axes, "x", shown)
        axes.grid(axis="x")
    return done[0]


def out_of_sight(floor: float, rows: Sequence[Series]) -> bool:
    """Whether the baseline is so far below all values that an axis with both would show neither well."""
    lowest = min((v for row in rows for v in row.values), default=0.0)
    return lowest > 0 and floor < lowest / FAR


def plane(
    name: str, rows: Sequence[tuple[Series, Series]], floor: tuple[float, float] | None, x: str, y: str
) -> Markup:
    """Two scores plotted against each other, one point per seed. The dashed lines cross at the baseline.

    The axes run from 0 to 1, or further if a value is larger.
    """
    with chart(name, 300) as ([axes], done):
        if floor is not None:
            axes.axvline(floor[0], color=QUIET, linestyle="--", linewidth=1.2)
            axes.axhline(floor[1], color=QUIET, linestyle="--", linewidth=1.2)
        for across, up in rows:
            _points(axes, across.values, up.values, across.style)
        highest = [v for pair in rows for series in pair for v in series.values] + list(floor or ())
        most = max(1.0, *highest) * 1.03
        axes.set(xlim=(-0.03 * most, most), ylim=(-0.03 * most, most), xlabel=x, ylabel=y)
        axes.grid()
    return done[0]


def frontier(
    name: str,
    rows: Sequence[tuple[Series, Series]],
    floor: float | None,
    x: str,
    y: str,
    links: Sequence[Sequence[str]] = (),
) -> Markup:
    """A score, where lower is better, against its price, one point per seed, both on logarithmic axes.

    The line runs along the rows that no other beats in both by its mean; they are labeled. The baseline is dashed.
    With `links`, one per row and seed, every point leads somewhere.
    """
    with chart(name, 320) as ([axes], done):
        best = undominated([(_mean(cost.values), _mean(score.values)) for cost, score in rows])
        for i, (cost, score) in enumerate(rows):
            if links:
                for across, up, link in zip(cost.values, score.values, links[i], strict=True):
                    _points(axes, [across], [up], score.style, link)
            else:
                _points(axes, cost.values, score.values, score.style)
        ends = [(_mean(rows[i][0].values), _mean(rows[i][1].values)) for i in best]
        axes.plot(*zip(*ends, strict=True), color=QUIET, linewidth=1.2, drawstyle="steps-post")
        for i, end in zip(best, ends, strict=True):
            axes.annotate(shortened(rows[i][1].label), end, (5, 6), textcoords="offset points", color=INK)
        if floor is not None and floor > 0:
            axes.axhline(floor, color=QUIET, linestyle="--", linewidth=1.2)
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
        for axis, column in ((axes.xaxis, 0), (axes.yaxis, 1)):
            values = [value for row in rows for value in row[column].values]
            logarithmic(axis, max(values) / min(values))
        axes.grid()
    return done[0]


def undominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points of which no other is lower in one number and not higher in the other, by the first."""
    order = sorted(range(len(points)), key=points.__getitem__)
    kept: list[int] = []
    for place in order:
        if not kept or points[place][1] < points[kept[-1]][1]:
            kept.append(place)
    return kept


def curves(name: str, panels: Sequence[Sequence[Line]], label: str, height: float, across: str = "epoch") -> Markup:
    """Curves over epochs. On curves with a marker, the best value is hollow and the final one is filled.

    Args:
        panels: the lines of each panel; curves of very different size would flatten each other in one panel.
        label: label of the vertical axes.
        height: height of the first panel in pixels; the others are half as high.
        across: label of the horizontal axis.
    """
    with chart(name, height, *([height / 2] * (len(panels) - 1))) as (axes, done):
        for one, lines in zip(axes, panels, strict=True):
            for line in lines:
                _curve(one, line)
            values = [v for line in lines for v in (*line.y, *([] if line.dot is None else [line.dot]))]
            scaled(one, "y", values)
            one.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            one.set_ylabel(label)
            one.grid()
        axes[-1].set_xlabel(across)
    return done[0]


def panels_of(lines: Sequence[Line]) -> list[list[Line]]:
    """Split the lines into one or two panels: those about as large as the first, and those much smaller or larger."""
    parts: list[list[Line]] = [[], []]
    for line in lines:
        ratio = abs(line.y[-1]) / (abs(lines[0].y[-1]) or 1)
        parts[not 1 / PARTED < ratio < PARTED].append(line)
    return [part for part in parts if part]


def _curve(axes: Axes, line: Line) -> None:
    width, alpha = (1.0, 0.55) if line.faint else (1.7, 1.0)
    axes.plot(line.x, line.y, color=line.color, linestyle=line.dash, linewidth=width, alpha=alpha)
    if line.dot is not None:
        axes.plot(line.x[-1:], [line.dot], "o", color=line.color, markersize=5, markeredgecolor=INK, clip_on=False)
    if line.marker is not None:
        best = min(range(len(line.y)), key=line.y.__getitem__)
        _mark(axes, line, line.marker, len(line.y) - 1, line.color)
        _mark(axes, line, line.marker, best, PAPER)  # drawn last: if the last value is the best, the marker is hollow


def term_style(place: int) -> tuple[str, str]:
    """Color and dash of a loss term."""
    return COLORS[place % len(COLORS)], DASHES[place % len(DASHES)]


def _mark(axes: Axes, line: Line, marker: str, at: int, fill: str) -> None:
    axes.plot(
        line.x[at : at + 1],
        line.y[at : at + 1],
        marker,
        color=line.color,
        markerfacecolor=fill,
        markeredgecolor=line.color,
        markeredgewidth=1.5,
        markersize=6.5,
        clip_on=False,
    )


def _points(axes: Axes, x: Sequence[float], y: Sequence[float], style: Style, link: str | None = None) -> None:
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=style.marker,
        color=style.color,
        markeredgecolor=PAPER,
        markeredgewidth=0.7,
        markersize=8.5,
        clip_on=False,
        zorder=3,
        url=link,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
