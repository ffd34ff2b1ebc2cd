"""Images as an array that a notebook shows as a grid."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

SMALLEST_SIDE = 8  # pixels: the least height and width of an image
MOST_SHOWN = 100  # images
MOST_PIXELS = 4 << 20  # of a grid, about: the browser gets it as text in the notebook
SIDE = 56  # pixels that an image has at least


class Batch(np.ndarray):
    """A numpy array like any other. One of images, uint8 (N, C, H, W), or (N, steps, C, H, W), is shown as a grid.

    What arithmetic and means give is a plain array. Parts, copies and rearrangements (`[:9]`, `astype`, `sort`, `.T`)
    remain of this class, and are shown as a grid as long as they are images.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array)
        return plain[()] if plain.ndim == 0 else plain

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __reduce__(self) -> Any:  # elsewhere, it need not be ours
        return self.view(np.ndarray).__reduce__()

    def _repr_png_(self) -> bytes | None:
        """The first MOST_SHOWN images; paths a row each. None for what are no images."""
        if not is_images(self):
            return None
        columns = min(self.shape[1], MOST_SHOWN) if self.ndim == 5 else None
        images = self.view(np.ndarray).reshape(-1, *self.shape[-3:])[:MOST_SHOWN]
        return as_png(images, columns)


def is_images(array: np.ndarray) -> bool:
    """Whether an array is one or several images with sides of at least SMALLEST_SIDE pixels."""
    sized = array.dtype == np.uint8 and array.ndim in (4, 5) and array.size > 0
    return sized and array.shape[-3] in (1, 3) and min(array.shape[-2:]) >= SMALLEST_SIDE


def as_png(images: np.ndarray, columns: int | None = None) -> bytes:
    """uint8 (N, C, H, W) as a PNG of a grid, small images enlarged, large ones thinned out to MOST_PIXELS in all."""
    from counterfeit.data import pixels  # which has PyTorch, and reading images shall not wait for that

    n, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    area, scale = columns * -(-n // columns) * height * width, max(1, -(-SIDE // width))
    if area * scale**2 > MOST_PIXELS:
        scale, stride = 1, math.ceil(math.sqrt(area / MOST_PIXELS))
        images = images[:, :, ::stride, ::stride]
    sheet = pixels.grid(images, columns, scale=scale)
    buffer = io.BytesIO()
    pixels.to_pil(sheet).save(buffer, format="PNG")
    return buffer.getvalue()
