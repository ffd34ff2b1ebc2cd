"""The form in which images are compared, their size and channels, and what brings images of another form to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from PIL import Image

from counterfeit.data.image_set import BLOCK, ImageSet
from counterfeit.data.picture import RULES, squared
from counterfeit.data.rows import Lazy, take

FILTER = f"{RULES['crop']}, {RULES['filter']}"  # of `squared`, by which a folder's files are brought to a size as well


@dataclass(frozen=True)
class Form:
    """What is done to images before they are compared.

    Attributes:
        size: height and width in pixels to which the centred square of every image is scaled; None leaves the size.
        grey: whether one channel is taken of RGB images whose three channels are equal.
    """

    size: int | None = None
    grey: bool = False

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(C, H, W) of an image that had `shape`."""
        c, h, w = shape
        return (1 if self.grey else c, self.size or h, self.size or w)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 (B, C, H, W) in this form; the same array where they have it already."""
        images = images[:, :1] if self.grey else images
        n, c, h, w = images.shape
        if self.size is None or (h, w) == (self.size, self.size):
            return np.ascontiguousarray(images)
        scaled = np.empty((n, c, self.size, self.size), np.uint8)
        for image, out in zip(images, scaled, strict=True):
            pixels = Image.fromarray(image[0] if c == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
            out[:] = np.asarray(squared(pixels, self.size)).reshape(self.size, self.size, c).transpose(2, 0, 1)
        return scaled


class Formed(Lazy):
    """Images (N, C, H, W) that are brought to a form when rows of them are taken, so that nothing is held twice."""

    def __init__(self, stored: np.ndarray, form: Form) -> None:
        n, *shape = stored.shape
        super().__init__((n, *form.shape((shape[0], shape[1], shape[2]))))
        self.stored, self.form = stored, form

    def taken(self, rows: np.ndarray) -> np.ndarray:
        return self.form(take(self.stored, rows))


def formed(images: ImageSet, form: Form) -> ImageSet:
    """The set as it is compared; name, digest and labels stay those of what is stored."""
    if form.shape(images.shape) == images.shape:
        return images
    # What takes rows of an array takes them of this one; it cannot be an ndarray, which would have to be held whole.
    return replace(images, images=cast(np.ndarray, Formed(images.images, form)))


def is_grey(images: ImageSet) -> bool:
    """Whether every pixel of every image is grey, stored as RGB or not; looks at a block at a time."""
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
    """The same of images of these (height, width), one or the smallest and the largest, compared as (C, H, W)."""
    c, h, w = shape
    return {
        "stored": {"sizes": [list(size) for size in sizes], "channels": channels},
        "compared": {"size": [h, w], "channels": c},
        "filter": None if sizes == ((h, w),) else FILTER,
    }


def form_at(shape: tuple[int, int, int], size: int | None = None) -> dict[str, Any]:
    """The same of images that are stored as (C, H, W) and brought to a size."""
    c, h, w = shape
    return described(((h, w),), c, Form(size).shape(shape))
