"""The charts of a run that trains: its losses and its score over the steps so far, as the report draws them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from counterfeit.report import charts
from counterfeit.report.charts import Line
from counterfeit.report.figures import Figure
from counterfeit.report.svg import COLORS, line_swatch
from counterfeit.runs.log import LogRow, OnTestSet, Steps, curve, score_names, terms
from counterfeit.system.words import number

MOST_POINTS = 240  # of a curve: more are no longer seen
MOST_KEPT = 64  # runs
_drawn: dict[str, tuple[tuple[int, int], list[Figure]]] = {}
_drawing = threading.Lock()


def figures(run: str, times: int, rows: Sequence[LogRow], unit: str) -> list[Figure]:
    """Losses, and a chart for every score; drawn once for all who look.

    Args:
        run: id of the run.
        times: how often its log began anew.
        rows: of its log.
        unit: of the losses; "" for none.
    """
    with _drawing:
        key = times, len(rows)
        if run not in _drawn or _drawn[run][0] != key:
            while len(_drawn) >= MOST_KEPT:
                del _drawn[next(iter(_drawn))]
            _drawn[run] = key, [*_losses(run, rows, unit), *(_score(run, rows, name) for name in score_names(rows))]
        return _drawn[run][1]


def _losses(run: str, rows: Sequence[LogRow], unit: str) -> list[Figure]:
    steps = [row for row in rows if isinstance(row, Steps)]
    tested = next((row.losses for row in reversed(rows) if isinstance(row, OnTestSet)), {})
    lines, words, legend = [], [], []
    for place, name in enumerate(terms(steps)):
        x, y = thinned([(row.step, row.losses[name]) for row in steps if name in row.losses])
        color, dash = charts.term_style(place)
        lines.append(Line(x, y, color, dash, dot=tested.get(name)))
        legend.append((line_swatch(color, dash), name))
        words.append(f"{name} from {number(y[0])} to {number(y[-1])}")
    if not lines:
        return []
    svg = charts.curves(f"{run}-losses", charts.panels_of(lines), unit or "loss", 200, "step")
    alt = f"Losses up to step {steps[-1].step:,}: {', '.join(words)}."
    dots = " A dot at the end is the loss on the test set." if tested else ""
    return [Figure("Losses", svg, alt, f"Means over the steps between two rows of the log.{dots}", tuple(legend))]


def _score(run: str, rows: Sequence[LogRow], name: str) -> Figure:
    epochs, values = zip(*curve(rows, name), strict=True)
    best = min(range(len(values)), key=values.__getitem__)
    svg = charts.curves(f"{run}-{name}", [[Line(epochs, values, COLORS[0], marker="o")]], name, 200)
    at_best = f"{number(values[best])}, epoch {epochs[best]}"
    alt = f"{name} after epoch {epochs[-1]}: {number(values[-1])}; the best is {at_best}."
    return Figure(name, svg, alt, "Of 2,000 samples; lower is better. Hollow is the best, filled the last.")


def thinned(points: Sequence[tuple[int, float]]) -> tuple[list[float], list[float]]:
    """At most MOST_POINTS points: means of neighbors, and the last one as it is."""
    size = -(-len(points) // MOST_POINTS)
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    x, y = ([sum(point[axis] for point in part) / len(part) for part in parts] for axis in (0, 1))
    x[-1], y[-1] = points[-1] if size == 1 else (points[-1][0], y[-1])
    return x, y
