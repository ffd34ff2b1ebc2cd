"""The loss curves of a run, drawn from its log."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from counterfeit.system.drawing import Axes, Figure, figure
from counterfeit.system.files import write_atomic
from counterfeit.system.text import harmless

NOT_LOSSES = {"epoch", "step", "images_per_s"}


def _draw_score(axes: Axes, name: str, curve: list[tuple[int, float]]) -> None:
    """A score over the epochs, its best and its final value marked."""
    epochs, values = zip(*curve, strict=True)
    best = values.index(min(values))
    axes.plot(epochs, values, "o-", markersize=3, linewidth=1.2)
    axes.plot(epochs[best], values[best], "v", label=f"best: {values[best]:.4g}, epoch {epochs[best]}")
    axes.plot(epochs[-1], values[-1], "s", label=f"final: {values[-1]:.4g}, epoch {epochs[-1]}")
    axes.set(xlabel="epoch", ylabel=name, yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()


def draw_curves(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Write a PNG with one line a logged loss over the steps, and dots for the test losses; rows as in log.jsonl."""
    scored = sorted({name for row in rows for name in row if name.startswith("FID[")})
    buffer = io.BytesIO()
    with figure("png", figsize=(7, 4 + 2.5 * len(scored)), dpi=120, layout="constrained") as sheet:
        _draw(sheet, rows, scored, title)
        sheet.savefig(buffer, format="png")
    write_atomic(path, buffer.getvalue())


def _draw(sheet: Figure, rows: list[dict[str, Any]], scored: list[str], title: str) -> None:
    """Losses above, and a panel a score below."""
    logged = [row for row in rows if "images_per_s" in row]
    tested = [row for row in rows if any(name.startswith("test_") for name in row)]
    names = [name for name in logged[0] if name not in NOT_LOSSES] if logged else []
    axes, *below = sheet.subplots(1 + len(scored), 1, height_ratios=[4] + [2.5] * len(scored), squeeze=False)[:, 0]
    for panel, name in zip(below, scored, strict=True):
        _draw_score(panel, name, [(row["epoch"], row[name]) for row in rows if name in row])
    for name in names:
        steps = [row["step"] for row in logged]
        (line,) = axes.plot(steps, [row[name] for row in logged], label=name, linewidth=1.2)
        dots = [(row["step"], row[f"test_{name}"]) for row in tested if f"test_{name}" in row]
        if dots:
            axes.plot(*zip(*dots, strict=True), "o", color=line.get_color(), label=f"{name} on the test set")
    axes.set_title(harmless(title))
    axes.set(xlabel="step", ylabel="nats per image" if "reconstruction" in names else "loss")
    axes.grid(alpha=0.3)
    if names:
        axes.legend()
