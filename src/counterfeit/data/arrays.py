"""Arrays as data sets: checked, and never converted silently."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from counterfeit.data.image_set import SMALLEST_SIDE, ImageSet, content_digest
from counterfeit.errors import DataError

MOST_CLASSES = 1 << 16
MANY_CLASSES = 1000  # with more classes than this, at least one in SPARSE must have an image
SPARSE = 10


def from_array(
    images: Any,
    labels: Any | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "array",
    where: str = "the array",
) -> ImageSet:
    """A data set with one split, "train", from a numpy array or a torch tensor on any device.

    Args:
        images: uint8 (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3, H and W at least 8. Contiguous (N, C, H, W)
            is not copied.
        labels: integers (N,) >= 0, or None.
        classes: class names in label order; by default "0" to the largest label.
        name: value of ImageSet.name.
        where: what to call the array in messages.

    Raises:
        DataError: the images, labels or classes are anything else.
    """
    pixels = as_nchw(_uint8(images, where), where)
    if labels is None:
        return ImageSet(name, "train", pixels, None, (), content_digest(pixels, None))
    numbers = _labels(labels, len(pixels), where)
    most = int(numbers.max())
    if classes is not None and most >= len(classes):
        raise DataError(
            f"{where} has the label {most} and names for {len(classes):,} classes; give a name for each, or none"
        )
    names = tuple(classes or numbered(numbers, where))
    return ImageSet(name, "train", pixels, numbers, names, content_digest(pixels, numbers))


def numbered(labels: np.ndarray, where: str) -> list[str]:
    """The class names "0" to the largest label.

    Labels such as 0 and 65535 are marks rather than class numbers: nobody means a network for 65,536 classes. Raises
    DataError for more than MANY_CLASSES classes of which fewer than one in SPARSE occur.
    """
    most, occur = int(labels.max()) + 1, len(np.unique(labels))
    if most > MANY_CLASSES and occur * SPARSE < most:
        raise DataError(
            f"{where} has labels up to {most - 1:,}, of which only {occur:,} occur; number the classes from 0 without "
            "gaps: labels = np.unique(labels, return_inverse=True)[1]"
        )
    return list(map(str, range(most)))


def as_nchw(array: np.ndarray, where: str) -> np.ndarray:
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W) as contiguous (N, C, H, W). Raises DataError for other shapes."""
    shape = tuple(array.shape)
    if array.ndim not in (3, 4):
        raise DataError(f"{where} has shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W)")
    if len(array) == 0:
        raise DataError(f"{where} has shape {shape}: no images")
    if array.ndim == 3:
        array = array[:, None]  # (N, H, W) → (N, 1, H, W)
    else:
        first, last = shape[1] in (1, 3), shape[3] in (1, 3)
        if first and last:  # in both readings, a height or width of 1 or 3 is too small
            raise DataError(
                f"{where} has shape {shape}: axis 1 and axis 3 could both be channels; height and width "
                f"must be at least {SMALLEST_SIDE}"
            )
        if not first and not last:
            raise DataError(f"{where} has shape {shape}: neither axis 1 nor axis 3 has 1 (gray) or 3 (RGB) channels")
        if last:
            array = array.transpose(0, 3, 1, 2)  # (N, H, W, C) → (N, C, H, W)
    if min(array.shape[2:]) < SMALLEST_SIDE:
        raise DataError(f"{where} has shape {shape}: height and width must be at least {SMALLEST_SIDE}")
    return _contiguous(array)


def _contiguous(array: np.ndarray) -> np.ndarray:
    if array.flags.c_contiguous:
        return array
    packed = np.empty(array.shape, array.dtype)
    for c in range(array.shape[1]):  # channel by channel: 8 times as fast as np.ascontiguousarray from (N, H, W, C)
        packed[:, c] = array[:, c]
    return packed


def _uint8(images: Any, where: str) -> np.ndarray:
    """The images as a numpy array. Raises DataError, which names the type found, unless they are uint8."""
    dtype = str(getattr(images, "dtype", None)).removeprefix("torch.")
    if dtype == "None":
        raise DataError(f"{where} is a {type(images).__name__}; give a numpy array or torch tensor of type uint8")
    if dtype == "uint8":
        return _numpy(images, where)
    found = dtype
    if dtype.startswith(("float", "bfloat", "int", "uint")) and 0 not in images.shape:
        with suppress(RuntimeError):  # a tensor without values: on the device "meta", or sparse
            found += f" with values from {images.min().item():g} to {images.max().item():g}"
    raise DataError(f"{where} is {found}; images are uint8: scale them to 0..255, round, and convert to uint8")


def _labels(labels: Any, n: int, where: str) -> np.ndarray:
    """The labels as int64 (n,)."""
    array = _numpy(labels, f"the labels of {where}")
    if array.dtype.kind not in "iu":
        raise DataError(f"the labels of {where} are {array.dtype}; labels are whole numbers 0, 1, 2 …")
    if array.shape != (n,):
        raise DataError(f"the labels of {where} have shape {array.shape}; expected ({n},), one per image")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= MOST_CLASSES:
        raise DataError(f"the labels of {where} go from {low} to {high}; number the classes 0 to {MOST_CLASSES - 1:,}")
    return array.astype(np.int64)


def _numpy(array: Any, where: str) -> np.ndarray:
    """A torch tensor, recognized by its `detach` (torch is not imported here), or an array-like as a numpy array.

    Raises DataError if it cannot be converted.
    """
    try:
        return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
    except Exception as error:  # rows of different lengths, a tensor of a dtype or device unknown to numpy
        raise DataError(f"{where} cannot be a numpy array ({type(error).__name__}): give whole numbers") from None
