"""Pictures from a browser, in the form of a run's images."""

from __future__ import annotations

import base64
import binascii

import numpy as np
from PIL import Image

from counterfeit.data import picture
from counterfeit.errors import InputError

MOST_PIXELS = 1 << 24
BOX = 20 / 28  # share of a side that a digit of MNIST fills, whose center of mass is in the middle: LeCun et al. 1998


def read(text: str, shape: tuple[int, int, int], drawn: bool, inverted: bool) -> np.ndarray:
    """A picture in base64 as an image of a run: uint8 (C, H, W).

    Args:
        shape: (C, H, W).
        drawn: size and place it as the digits of MNIST are, which are white on black.
        inverted: dark and light change places, before all else.

    Raises:
        InputError: it is no picture that can be read, or nothing was drawn.
    """
    channels, height, width = shape
    try:
        content = base64.b64decode(text, validate=True)
        high, wide = picture.examine(content).size
        if high * wide > MOST_PIXELS:
            raise picture.BadPicture(f"{wide}x{high} is more than {MOST_PIXELS:,} pixels")
        square = (height, width) if height == width and not drawn else None
        pixels = picture.decode(content, square, channels).pixels
    except (picture.BadPicture, binascii.Error) as error:
        raise InputError(f"this picture cannot be used: {error}") from None
    pixels = 255 - pixels if inverted else pixels
    return _placed(pixels, height, width) if drawn else _sized(pixels, height, width)


def _sized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[1:] == (height, width):
        return pixels
    scaled = [Image.fromarray(channel).resize((width, height), Image.Resampling.LANCZOS) for channel in pixels]
    return np.stack([np.asarray(channel) for channel in scaled])


def _placed(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """What is not black, scaled so that its longer side fills BOX of the image, its center of mass in the middle."""
    rows, columns = (np.flatnonzero(pixels.max(axis=(0, axis))) for axis in (2, 1))
    if not len(rows):
        raise InputError("nothing was drawn: draw a digit first")
    cut = pixels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX * min(height, width) / max(cut.shape[1:])
    small = _sized(cut, *(max(1, round(side * scale)) for side in cut.shape[1:]))
    placed = np.zeros((len(pixels), height, width), np.uint8)
    mass = small.sum(axis=0, dtype=np.float64)
    corner = []
    for axis, (side, whole) in enumerate(zip(mass.shape, (height, width), strict=True)):
        center = (mass.sum(axis=1 - axis) * (np.arange(side) + 0.5)).sum() / max(mass.sum(), 1)
        corner.append(int(np.clip(round(whole / 2 - center), 0, whole - side)))
    top, left = corner
    placed[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return placed
