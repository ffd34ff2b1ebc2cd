"""Arrays and .npz files as data sets: checked, never converted silently."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.data.image_set import SMALLEST_SIDE, ImageSet, content_digest
from counterfeit.errors import DataError

MOST_CLASSES = 1 << 16
NAME = 4 * 255  # bytes of the longest name, 4 to a character
# Of files that hold a split for training and one for testing, the images and labels of each, as they are usually named.
NPZ_SPLITS = tuple(
    {split: (images.format(split), labels.format(split)) for split in ("train", "test")}
    for images, labels in (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
)


def from_array(
    images: Any,
    labels: Any | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "array",
    where: str = "the array",
) -> ImageSet:
    """Images, numpy array or torch tensor (on any device), as a data set with one split, "train".

    Args:
        images: uint8 (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3, H and W at least 8. Not copied where it is
            (N, C, H, W) and contiguous already.
        labels: integers (N,) from 0 up, or None.
        classes: the classes' names, in label order; by default "0" to the largest label.
        name: for ImageSet.name.
        where: for messages.

    Raises:
        DataError: anything else.
    """
    pixels = as_nchw(_uint8(images, where), where)
    if labels is None:
        return ImageSet(name, "train", pixels, None, (), content_digest(pixels, None))
    numbers = _labels(labels, len(pixels), where)
    most = int(numbers.max())
    if classes is not None and most >= len(classes):
        raise DataError(f"{where} has the label {most} and names for {len(classes):,} classes; name them all, or none")
    names = tuple(classes or map(str, range(most + 1)))
    return ImageSet(name, "train", pixels, numbers, names, content_digest(pixels, numbers))


def from_npz(path: Path, split: str = "train") -> ImageSet:
    """The `images` and, where there are any, the `labels` and the names `classes` of an .npz file; see `from_array`.

    Or a split of a file that holds two: see NPZ_SPLITS. Its labels may be (N, 1) too, and its classes without names
    are "0" to the largest label of both splits. Raises DataError, naming the file, also for a file that is no .npz,
    lacks the images or holds pickled objects.
    """
    with _opened(path) as arrays:
        names = _npz_names(arrays)
        if names is None:
            raise DataError(f"{path} has no array 'images', only {', '.join(arrays) or 'nothing'}")
        images, labels = (arrays[name] if name in arrays else None for name in names[split])
        classes = None if labels is None else _classes(path)
        ends = [int(arrays[of].max()) for _, of in names.values() if of in arrays and arrays[of].size]
    if len(names) == 1 or labels is None:
        return from_array(images, labels, classes=classes, name=str(path), where=str(path))
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    classes = classes or [str(label) for label in range(max(ends) + 1)]
    found = from_array(images, labels, classes=classes, name=str(path), where=f"{path}, {split} split")
    return replace(found, split=split)


def npz_splits(path: Path) -> tuple[str, ...]:
    """The splits of an .npz file, from its arrays' names. Raises DataError as `from_npz`."""
    with _opened(path) as arrays:
        return tuple(_npz_names(arrays) or ("train",))


def _npz_names(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, str]] | None:
    """The names of the arrays of each split's images and labels; None where the file has no such images."""
    if "images" in arrays:
        return {"train": ("images", "labels")}
    return next((names for names in NPZ_SPLITS if all(images in arrays for images, _ in names.values())), None)


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of an .npz file by name, each read when it is asked for; DataError where they cannot be."""
    try:
        with path.open("rb") as opened:  # opened here, for np.load leaves it open where the zip is damaged
            arrays = np.load(opened, allow_pickle=False)
            if not isinstance(arrays, Mapping):
                raise DataError(f"{path} is no .npz file but a single array; save it by np.savez(path, images=array)")
            yield arrays
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        pickled = "allow_pickle" in str(error)
        fault = "it holds pickled objects or is no .npz file" if pickled else str(error) or type(error).__name__
        raise DataError(f"{path} cannot be read as .npz ({fault}); save it again by np.savez") from error


def _classes(path: Path) -> list[str] | None:
    """The names `classes`, if there are any. Their number and length are checked before room is made for them."""
    with zipfile.ZipFile(path) as arrays:
        if "classes.npy" not in arrays.namelist():
            return None
        with arrays.open("classes.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(file)
            if not (kind.kind == "U" and len(shape) == 1 and 0 < shape[0] <= MOST_CLASSES and kind.itemsize <= NAME):
                raise DataError(
                    f"{path} has an array 'classes' of {kind} {shape}; it holds the names of up to {MOST_CLASSES:,} "
                    f"classes, each of up to {NAME // 4} characters"
                )
            file.seek(0)
            names: list[str] = np.lib.format.read_array(file, allow_pickle=False).tolist()
    name, times = Counter(names).most_common(1)[0]
    if times > 1 or "" in names:
        fault = f"the name {name!r} {times} times" if times > 1 else "an empty name"
        raise DataError(f"{path} has in its array 'classes' {fault}; every class needs a name of its own")
    return names


def as_nchw(array: np.ndarray, where: str) -> np.ndarray:
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W) as contiguous (N, C, H, W); DataError for any other shape."""
    shape = tuple(array.shape)
    if array.ndim not in (3, 4):
        raise DataError(f"{where} has shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W)")
    if len(array) == 0:
        raise DataError(f"{where} has shape {shape}: no images")
    if array.ndim == 3:
        array = array[:, None]  # (N, H, W) → (N, 1, H, W)
    else:
        first, last = shape[1] in (1, 3), shape[3] in (1, 3)
        if first and last:  # whichever way it is read, a height or width of 1 or 3 is too small
            raise DataError(
                f"{where} has shape {shape}: axis 1 and axis 3 could both be channels; height and width "
                f"must be at least {SMALLEST_SIDE}"
            )
        if not first and not last:
            raise DataError(f"{where} has shape {shape}: neither axis 1 nor axis 3 is 1 (grey) or 3 (RGB) channels")
        if last:
            array = array.transpose(0, 3, 1, 2)  # (N, H, W, C) → (N, C, H, W)
    if min(array.shape[2:]) < SMALLEST_SIDE:
        raise DataError(f"{where} has shape {shape}: height and width must be at least {SMALLEST_SIDE}")
    return _contiguous(array)


def _contiguous(array: np.ndarray) -> np.ndarray:
    if array.flags.c_contiguous:
        return array
    packed = np.empty(array.shape, array.dtype)
    for c in range(array.shape[1]):  # a channel at a time: 8 times as fast as np.ascontiguousarray from (N, H, W, C)
        packed[:, c] = array[:, c]
    return packed


def _uint8(images: Any, where: str) -> np.ndarray:
    """The images as a numpy array; DataError for another type than uint8, which says what was found."""
    dtype = str(getattr(images, "dtype", None)).removeprefix("torch.")
    if dtype == "None":
        raise DataError(f"{where} is a {type(images).__name__}; give a numpy array or torch tensor of type uint8")
    if dtype == "uint8":
        return _numpy(images, where)
    found = dtype
    if dtype.startswith(("float", "bfloat", "int", "uint")) and 0 not in images.shape:
        with suppress(RuntimeError):  # a tensor without numbers: on the device "meta", or sparse
            found += f" with values from {images.min().item():g} to {images.max().item():g}"
    raise DataError(f"{where} is {found}; images are uint8: scale them to 0..255, round, and convert to uint8")


def _labels(labels: Any, n: int, where: str) -> np.ndarray:
    """The labels as int64 (n,)."""
    array = _numpy(labels, f"the labels of {where}")
    if array.dtype.kind not in "iu":
        raise DataError(f"the labels of {where} are {array.dtype}; labels are whole numbers 0, 1, 2 …")
    if array.shape != (n,):
        raise DataError(f"the labels of {where} have shape {array.shape}; expected ({n},), one an image")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= MOST_CLASSES:
        raise DataError(f"the labels of {where} go from {low} to {high}; number the classes 0 to {MOST_CLASSES - 1:,}")
    return array.astype(np.int64)


def _numpy(array: Any, where: str) -> np.ndarray:
    """A torch tensor, known by its `detach` (torch is not imported here), or anything numpy takes; else DataError."""
    try:
        return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
    except Exception as error:  # rows of several lengths, a tensor of a type or on a device that numpy knows not
        raise DataError(f"{where} cannot be a numpy array ({type(error).__name__}): give whole numbers") from None
