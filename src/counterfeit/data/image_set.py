"""The type that holds images everywhere else: uint8, in memory or memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from counterfeit.data.rows import is_stored, take
from counterfeit.data.shown import SMALLEST_SIDE, as_png
from counterfeit.errors import DataError
from counterfeit.settings import fit_fields
from counterfeit.system.arguments import shown

__all__ = ["SMALLEST_SIDE", "ImageSet", "content_digest"]

PICTURED = 60
BLOCK = 1000  # images of a memory map read at a time


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A split of a data set.

    Attributes:
        name: name of a data set, path of a folder or file as typed, or "array", according to `kind`.
        split: "train" or "test".
        images: uint8 (N, C, H, W), C = 1 (grayscale) or 3 (RGB); may be a read-only memory map, or `rows.Rows` of one.
        labels: int64 (N,) with values in [0, len(classes)), or None.
        classes: class names in label order; empty without labels.
        digest: SHA-256 (hex) of shape, pixels and labels: identifies the content, whatever its source.
        kind: "dataset", "folder", "archive", "parquet", "npz" or "array".
        conversion: how image files were converted to a common form: size, crop, filter, the decoder's version, ….
        sizes: (height, width) of image files as stored: one if all are the same, else the smallest and the
            largest; () for other kinds.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    digest: str
    kind: str = "array"
    conversion: Mapping[str, str | int] | None = None
    sizes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Check the fields; raise DataError if they are not a valid set of images. Use `load` to make one."""
        fit_fields(self)
        shape, numbers = self.images.shape, self.labels
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[1] not in (1, 3):
            raise DataError(f"images are uint8 (N, C, H, W) with C = 1 or 3, not {shown(self.images)}")
        if numbers is not None and (numbers.dtype.kind not in "iu" or numbers.shape != shape[:1]):
            raise DataError(f"labels are whole numbers ({shape[0]},), one per image, not {shown(numbers)}")

    def _repr_png_(self) -> bytes:
        """What a notebook shows: PICTURED images, spread over the set, which may be sorted."""
        return as_png(take(self.images, np.linspace(0, len(self) - 1, min(PICTURED, len(self))).astype(int)))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def dataset(self) -> str:
        """Name of the named data set; "" for the user's own images, whatever they are called."""
        return self.name if self.kind == "dataset" else ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, c, h, w = self.images.shape
        return c, h, w


def content_digest(images: np.ndarray, labels: np.ndarray | None) -> str:
    """SHA-256 (hex) of contiguous uint8 (N, C, H, W) images, their shape, and int64 (N,) labels or None."""
    digest = hashlib.sha256(json.dumps({"shape": images.shape, "labels": labels is not None}).encode())
    if is_stored(images):
        for start in range(0, len(images), BLOCK):
            digest.update(take(images, np.arange(start, min(start + BLOCK, len(images)))).data)
    else:
        digest.update(images.data)
    if labels is not None:
        digest.update(labels.astype("<i8").data)
    return digest.hexdigest()
