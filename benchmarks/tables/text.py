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


def times(ratio: Json) -> str:
    return f"{ratio['median']:.2f}x ({ratio['least']:.2f}–{ratio['most']:.2f})"


def over_seeds(values: list[float]) -> str:
    std = statistics.stdev(values) if len(values) > 1 else None
    return plus_minus({"mean": statistics.mean(values), "std": std})
