"""The form in which images are compared (size and channels), and the conversion of other images to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from PIL import Image

from counterfeit.data.image_set import BLOCK, ImageSet
from counterfeit.data.picture import OBLONG, RULES, cropped
from counterfeit.data.rows import Lazy, take
from counterfeit.system.sides import sides

# Names of the filter in `cropped`, which also resizes a folder's files, to a square or another shape.
FILTER, OBLONG_FILTER = f"{RULES['crop']}, {RULES['filter']}", f"{OBLONG}, {RULES['filter']}"


@dataclass(frozen=True)
class Form:
    """What is done to images before they are compared.

    Attributes:
        size: height and width in pixels, or "HxW", to which the middle of every image is scaled; None keeps the size.
        gray: whether RGB images whose three channels are equal are reduced to one channel.
    """

    size: int | str | None = None
    gray: bool = False

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(C, H, W) in this form of an image with shape `shape`."""
        c, h, w = shape
        return (1 if self.gray else c, *(sides(self.size) if self.size else (h, w)))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Convert uint8 (B, C, H, W) images to this form; the same array if nothing changes."""
        images = images[:, :1] if self.gray else images
        n, c, h, w = images.shape
        if self.size is None or (h, w) == sides(self.size):
            return np.ascontiguousarray(images)
        height, width = sides(self.size)
        scaled = np.empty((n, c, height, width), np.uint8)
        for image, out in zip(images, scaled, strict=True):
            pixels = Image.fromarray(image[0] if c == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
            out[:] = np.asarray(cropped(pixels, (height, width))).reshape(height, width, c).transpose(2, 0, 1)
        return scaled


class Formed(Lazy):
    """Images (N, C, H, W) that are converted to a form when rows are taken, to avoid a second copy of all."""

    def __init__(self, stored: np.ndarray, form: Form) -> None:
        n, *shape = stored.shape
        super().__init__((n, *form.shape((shape[0], shape[1], shape[2]))))
        self.stored, self.form = stored, form

    def taken(self, rows: np.ndarray) -> np.ndarray:
        return self.form(take(self.stored, rows))


def formed(images: ImageSet, form: Form) -> ImageSet:
    """The set in the form in which it is compared; name, digest and labels remain those of the stored set."""
    if form.shape(images.shape) == images.shape:
        return images
    # Code that takes rows of an array accepts it; it cannot be an ndarray, which would hold everything in memory.
    return replace(images, images=cast(np.ndarray, Formed(images.images, form)))


def is_gray(images: ImageSet) -> bool:
    """Whether every pixel of every image is gray, even if stored as RGB; checked block by block."""
    if images.shape[0] == 1:
        return True
    for start in range(0, len(images), BLOCK):
        block = take(images.images, np.arange(start, min(start + BLOCK, len(images))))
        if not (np.array_equal(block[:, 0], block[:, 1]) and np.array_equal(block[:, 0], block[:, 2])):
            return False
    return True


def form_of(images: ImageSet) -> dict[str, Any]:
    """Sizes and channels of a set as stored and as compared, and the filter between them: JSON, for a receipt."""
    stored = images.images
    while isinstance(stored, Formed):
        stored = stored.stored
    _, channels, height, width = stored.shape
    return described(images.sizes or ((height, width),), channels, images.shape)


def described(sizes: tuple[tuple[int, int], ...], channels: int, shape: tuple[int, int, int]) -> dict[str, Any]:
    """The JSON of `form_of`.

    Args:
        sizes: (height, width) of the stored images: one, or the smallest and the largest.
        channels: channels of the stored images.
        shape: (C, H, W) in which they are compared.
    """
    c, h, w = shape
    return {
        "stored": {"sizes": [list(size) for size in sizes], "channels": channels},
        "compared": {"size": [h, w], "channels": c},
        "filter": None if sizes == ((h, w),) else FILTER if h == w else OBLONG_FILTER,
    }


def form_at(shape: tuple[int, int, int], size: int | str | None = None) -> dict[str, Any]:
    """The JSON of `form_of` for images stored as (C, H, W) and scaled to `size`."""
    c, h, w = shape
    return described(((h, w),), c, Form(size).shape(shape))
