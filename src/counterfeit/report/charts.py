"""The charts of a report: seeds as points, floors as lines, curves over epochs. Plain numbers in, SVG out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from counterfeit.report.svg import COLOURS, DASHES, INK, PAPER, QUIET, Style, chart
from counterfeit.system.drawing import Axes, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from counterfeit.system.words import number, shortened

WIDE_RANGE = 8  # from this ratio of the largest to the smallest value on, a logarithmic axis shows more
FAR = 30  # times below the lowest value: a floor out of sight
PARTED = 5  # times larger or smaller: a curve for another panel


@dataclass(frozen=True)
class Series:
    """Values of a row of the table.

    Attributes:
        label: the row's.
        style: as everywhere in the report.
        values: one a seed; pairs (x, y) for a plane.
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
        colour, dash: as the legend shows them.
        faint: for the seeds after the first.
        dot: a single value beside the curve at its end, such as that on the test set.
        marker: for a curve whose best and final values are marked.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = "-"
    faint: bool = False
    dot: float | None = None
    marker: str | None = None


def strip(name: str, rows: Sequence[Series], floor: float | None) -> Markup:
    """A row a model, its seeds as points, their mean as a tick and in figures; the floor as a dashed line.

    A floor that is `out_of_sight` is an arrow at the edge: the axis is for the differences between the models.
    """
    with chart(name, 64 + 30 * len(rows)) as ([axes], done):
        for y, row in enumerate(rows):
            mean = sum(row.values) / len(row.values)
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
        _scale(axes, "x", shown)
        axes.grid(axis="x")
    return done[0]


def out_of_sight(floor: float, rows: Sequence[Series]) -> bool:
    """Whether the floor is so far below all values that an axis with both would show neither."""
    lowest = min((v for row in rows for v in row.values), default=0.0)
    return lowest > 0 and floor < lowest / FAR


def plane(
    name: str, rows: Sequence[tuple[Series, Series]], floor: tuple[float, float] | None, x: str, y: str
) -> Markup:
    """Two scores from 0 to 1 against each other, a point a seed; the floor is where the dashed lines meet."""
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


def curves(name: str, panels: Sequence[Sequence[Line]], label: str, height: float) -> Markup:
    """Curves over epochs; of those with a marker, the best value is hollow and the final one filled.

    Args:
        panels: the lines of each; curves of different size would flatten each other.
        label: of the vertical axes.
        height: of the first panel, in pixels; the others are half as high.
    """
    with chart(name, height, *([height / 2] * (len(panels) - 1))) as (axes, done):
        for one, lines in zip(axes, panels, strict=True):
            for line in lines:
                _curve(one, line)
            values = [v for line in lines for v in (*line.y, *([] if line.dot is None else [line.dot]))]
            _scale(one, "y", values)
            one.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            one.set_ylabel(label)
            one.grid()
        axes[-1].set_xlabel("epoch")
    return done[0]


def panels_of(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines parted into one or two panels: those of about the size of the first, and much smaller or larger ones."""
    parts: list[list[Line]] = [[], []]
    for line in lines:
        ratio = abs(line.y[-1]) / (abs(lines[0].y[-1]) or 1)
        parts[not 1 / PARTED < ratio < PARTED].append(line)
    return [part for part in parts if part]


def _curve(axes: Axes, line: Line) -> None:
    width, alpha = (1.0, 0.55) if line.faint else (1.7, 1.0)
    axes.plot(line.x, line.y, color=line.colour, linestyle=line.dash, linewidth=width, alpha=alpha)
    if line.dot is not None:
        axes.plot(line.x[-1:], [line.dot], "o", color=line.colour, markersize=5, markeredgecolor=INK, clip_on=False)
    if line.marker is not None:
        best = min(range(len(line.y)), key=line.y.__getitem__)
        _mark(axes, line, line.marker, len(line.y) - 1, line.colour)
        _mark(axes, line, line.marker, best, PAPER)  # on top: where the last is the best, it is hollow


def term_style(place: int) -> tuple[str, str]:
    """Colour and dash of a term of a loss."""
    return COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]


def _mark(axes: Axes, line: Line, marker: str, at: int, fill: str) -> None:
    axes.plot(
        line.x[at : at + 1],
        line.y[at : at + 1],
        marker,
        color=line.colour,
        markerfacecolor=fill,
        markeredgecolor=line.colour,
        markeredgewidth=1.5,
        markersize=6.5,
        clip_on=False,
    )


def _points(axes: Axes, x: Sequence[float], y: Sequence[float], style: Style) -> None:
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=style.marker,
        color=style.colour,
        markeredgecolor=PAPER,
        markeredgewidth=0.7,
        markersize=8.5,
        clip_on=False,
        zorder=3,
    )


def _scale(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """A logarithmic axis where all values are positive and far apart, else a linear one; plain numbers on both."""
    finite = [v for v in values if math.isfinite(v)] or [1.0]
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = min(finite), max(finite)
    if low > 0 and high / low >= WIDE_RANGE:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        decades = math.log10(high / low)
        axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0), numticks=12))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
