"""What every table is made of: Markdown, and numbers as they are printed."""

from __future__ import annotations

import statistics
from typing import Any

from counterfeit.system.words import plus_minus

Json = dict[str, Any]


def real_images(table: Json, name: str) -> str:
    """`0.915 ± 0.037`: what real images get in a column of a comparison's table, whose spread older ones lack."""
    return plus_minus({"mean": table["floors"].get(name), "std": table.get("floor_stds", {}).get(name)})


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]]) + "\n"


def seeds(results: Json, row: Json) -> str:
    """`3 (2 on a GPU)`, `3, on a GPU`: how many runs a row is of, and how many of them a graphics card has trained.

    A grid trains and scores a run in one go, so that the machine of the receipt is that of the training.
    """
    found = {run["path"]: run for grid in results.values() if "runs" in grid for run in grid["runs"] if "path" in run}
    devices = [found[path]["score"]["receipt"]["machine"]["device"] for path in row["runs"]]
    on_cards, count = sum(device != "cpu" for device in devices), str(len(devices))
    if not on_cards:
        return count
    return f"{count}, on a GPU" if on_cards == len(devices) else f"{count} ({on_cards} on a GPU)"


def times(ratio: Json) -> str:
    return f"{ratio['median']:.2f}x ({ratio['least']:.2f}–{ratio['most']:.2f})"


def over_seeds(values: list[float]) -> str:
    std = statistics.stdev(values) if len(values) > 1 else None
    return plus_minus({"mean": statistics.mean(values), "std": std})
