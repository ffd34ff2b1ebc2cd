"""Lengths of time as people write them: 90s, 5m, 1h30m."""

from __future__ import annotations

import re

UNITS = {"h": 3600, "m": 60, "s": 1}
FORM = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in UNITS))


def seconds(text: str) -> int | None:
    """The seconds of `90s`, `5m` or `1h30m`; None for what is no length of time."""
    found = FORM.fullmatch(text.strip().lower())
    if found is None or not any(found.groups()):
        return None
    return sum(int(number or 0) * UNITS[unit] for unit, number in found.groupdict().items())


def spelled(seconds: int) -> str:
    """The same length always in the same words: 90 is `1m30s`."""
    parts, left = [], seconds
    for unit, size in UNITS.items():
        number, left = divmod(left, size)
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"


def in_words(seconds: float) -> str:
    """`40 seconds`, `5 minutes`, `2.5 hours`."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
