"""Sizes of images as they are typed: a number of pixels for a square, or HEIGHTxWIDTH."""

from __future__ import annotations

import re

from counterfeit.errors import InputError
from counterfeit.system.arguments import shown

SMALLEST, LARGEST = 8, 1024  # pixels
TYPED = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?")


def sides(size: int | str) -> tuple[int, int]:
    """Height and width in pixels, of 64, "64" or "48x64". Raises InputError for anything else."""
    found = TYPED.fullmatch(str(size).strip().lower()) if isinstance(size, int | str) else None
    height, width = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(SMALLEST <= side <= LARGEST for side in (height, width)):
        raise InputError(
            f"--size is {size if found else shown(size)}; it is a whole number of pixels, {SMALLEST} to {LARGEST}, or "
            "a height and a width, such as 48x64"
        )
    return height, width


def spelled(height: int, width: int) -> int | str:
    """The size with these sides: 64, or "48x64" if they differ."""
    return height if height == width else f"{height}x{width}"
