"""Plot the loss curves of a run from its log."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from counterfeit.runs.log import LogRow, OnTestSet, Steps, curve, score_names, terms
from counterfeit.system.drawing import Axes, Figure, MaxNLocator, figure, scaled
from counterfeit.system.files import write_atomic
from counterfeit.system.text import harmless
from counterfeit.system.words import shortened

WIDTH = 7.0  # inches, as are the margins: room for an axis' label, and for numbers of 7 digits
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 0.95, 0.15, 0.35, 0.55, 0.6


def draw_curves(path: Path, rows: Sequence[LogRow], title: str, unit: str) -> None:
    """Write a PNG with a line per loss over the steps, dots for the test losses, and a panel below per score."""
    buffer = io.BytesIO()
    with figure("png", **layout(rows)) as sheet:
        draw_on(sheet, rows, title, unit)
        sheet.savefig(buffer, format="png")
    write_atomic(path, buffer.getvalue())


def layout(rows: Sequence[LogRow]) -> dict[str, Any]:
    """The options of a figure that `draw_on` has room on."""
    return {"figsize": (WIDTH, 4 + 2.5 * len(score_names(rows))), "dpi": 120}


def draw_on(sheet: Figure, rows: Sequence[LogRow], title: str, unit: str) -> None:
    """The losses, and below them a panel per score.

    Margins are fixed: a layout that looks for them draws everything twice, a third of what a short training takes.
    """
    scored = score_names(rows)
    width, height = sheet.get_size_inches()
    each = (height - TOP - BOTTOM - len(scored) * BETWEEN) / (1 + len(scored))  # the mean height of a panel
    margins = {"left": LEFT / width, "right": 1 - RIGHT / width, "top": 1 - TOP / height, "bottom": BOTTOM / height}
    axes = sheet.subplots(
        1 + len(scored),
        height_ratios=[4] + [2.5] * len(scored),
        squeeze=False,
        gridspec_kw={**margins, "hspace": BETWEEN / each},
    )[:, 0]
    _draw_losses(axes[0], rows, title, unit)
    for panel, name in zip(axes[1:], scored, strict=True):
        _draw_score(panel, name, curve(rows, name))


def _draw_score(axes: Axes, name: str, points: list[tuple[int, float]]) -> None:
    """Plot a score over the epochs, with its best and its final value marked."""
    epochs, values = zip(*points, strict=True)
    best = values.index(min(values))
    axes.plot(epochs, values, "o-", markersize=3, linewidth=1.2)
    axes.plot(epochs[best], values[best], "v", label=f"best: {values[best]:.4g}, epoch {epochs[best]}")
    axes.plot(epochs[-1], values[-1], "s", label=f"final: {values[-1]:.4g}, epoch {epochs[-1]}")
    axes.set(xlabel="epoch", ylabel=name)
    scaled(axes, "y", values)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_losses(axes: Axes, rows: Sequence[LogRow], title: str, unit: str) -> None:
    logged = [row for row in rows if isinstance(row, Steps)]
    tested = [row for row in rows if isinstance(row, OnTestSet)]
    names = terms(logged)
    for name in names:
        points = [(row.step, row.losses[name]) for row in logged if name in row.losses]
        alone = "o" if len(points) == 1 else ""  # which a line would not show
        (line,) = axes.plot(*zip(*points, strict=True), alone + "-", label=name, linewidth=1.2)
        dots = [(row.step, row.losses[name]) for row in tested if name in row.losses]
        if dots:
            axes.plot(*zip(*dots, strict=True), "o", color=line.get_color(), label=f"{name} on the test set")
    axes.set_title(shortened(harmless(title), 60))
    axes.set(xlabel="step", ylabel=shortened(unit or "loss", 40))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if names:
        axes.legend()
