"""Numbers, commands and lists in words, for a terminal, a table or a report."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

DASH = "–"
CANNOT_BE_TOLD = "not known"


def number(value: float | None, significant: int = 4) -> str:
    """`0.02391`, `131.3`, `13,207`, `0.000041`: four digits, or two for a tiny number; a dash for None."""
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) >= 10**significant:
        return f"{value:,.0f}"
    if 1e-8 < abs(value) < 1e-4:
        return f"{value:.{1 - math.floor(math.log10(abs(value)))}f}"
    return f"{value:.{significant}g}"


def mean_and_std(mean: float | None, std: float | None) -> str:
    """`131.3 ± 1.8`: the mean, rounded to the second digit of the standard deviation; a dash for None."""
    if mean is None:
        return DASH
    if not std or not math.isfinite(std):
        return number(mean)
    places = max(0, 1 - math.floor(math.log10(std)))
    if places > 6:
        return f"{number(mean)} ± {number(std, 2)}"
    return f"{mean:,.{places}f} ± {std:,.{places}f}"


def plus_minus(spread: Json | None) -> str:
    """Apply `mean_and_std` to {"mean", "std"}; a dash for None."""
    return DASH if spread is None else mean_and_std(spread["mean"], spread["std"])


def compared_with(real: Json) -> str:
    """`10,000 images of mnist:test` from a receipt's `real`, or the statistics file that was used in their place."""
    if real["split"] == "statistics":
        return f"the statistics in {real['name']}"
    return f"{real['n']:,} images of {real['name']}:{real['split']}"


def whole(value: float | None) -> str:
    """`1,322`: rounded to an integer."""
    return DASH if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as `48 s`, `3.6 min`, `2.1 h`."""
    if seconds is None:
        return DASH
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def listed(words: Iterable[str], last_by: str = "and") -> str:
    """Join words: `a`, `a and b`, `a, b and c`."""
    *first, last = list(words) or [""]
    return f"{', '.join(first)} {last_by} {last}" if first else last


def first_few(names: Sequence[str], most: int = 10) -> str:
    """Join names: `a, b, c`; of more than `most`, the first ones and `…`."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def count(n: int, word: str) -> str:
    """A number and a noun: `1 run`, `36 runs`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def seeds(numbers: Sequence[int]) -> str:
    """Seeds as `0, 1, 2, 5`; more than four in a row as `0 … 9`."""
    if len(numbers) > 4 and list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]} … {numbers[-1]}"
    return ", ".join(map(str, numbers))


def named_seeds(numbers: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1, 2`: the word prevents a seed's number from being read as a number of seeds."""
    return f"seed{'' if len(numbers) == 1 else 's'} {seeds(numbers)}"


def command(words: Sequence[str]) -> str:
    """The command as typed. `python -m counterfeit` appears as its file's name only, and is shown as `counterfeit`."""
    if not words:
        return CANNOT_BE_TOLD
    first = "counterfeit" if words[0] == "__main__.py" else words[0]
    return shlex.join([first, *words[1:]])


def label_and_detector(column: str) -> tuple[str, str]:
    """Split a column name: `FID[mnist-cnn]` -> (`FID`, `mnist-cnn`)."""
    label, _, rest = column.partition("[")
    return label, rest.removesuffix("]")


def shortened(text: str, most: int = 22) -> str:
    """Shorten text to at most `most` characters, for the axis of a chart."""
    return text if len(text) <= most else text[: most - 1].rstrip(" ,") + "…"
