"""An .npz file as a data set with one or two splits: determine which arrays are images and which are labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from counterfeit.data.arrays import MOST_CLASSES, from_array, numbered
from counterfeit.data.image_set import ImageSet
from counterfeit.data.npz import Header, Npz, opened
from counterfeit.errors import DataError
from counterfeit.system.console import say
from counterfeit.system.words import first_few, listed

STEMS = (("images", "labels"), ("x", "y"))  # names of images and labels, with the split before or after
LONGEST_NAME = 255  # characters of a class name
FIX = "np.savez(path, images=images, labels=labels)"


class Names(NamedTuple):
    """The names of a split's arrays; `labels` is None without labels."""

    images: str
    labels: str | None


def from_npz(path: Path, split: str = "train") -> ImageSet:
    """Load a split of an .npz file: its images and, if present, its labels and the array `classes` of class names.

    Labels may also be (N, 1). Without names, classes are "0" to the largest label of all splits. Raises DataError that
    names the file if it is not an .npz file or has no images, and as `opened` and `from_array` do.
    """
    with opened(path) as arrays:
        found = _layout(arrays)
        names = found[split]
        images = arrays[names.images]
        if names.labels is None:
            return replace(from_array(images, name=str(path), where=str(path)), split=split)
        by_split = {which: _column(arrays[of.labels]) for which, of in found.items() if of.labels}
        classes = _classes(arrays)
    labels, where = by_split[split], str(path) if len(found) == 1 else f"{path}, {split} split"
    if classes is None and all(of.dtype.kind in "iu" and of.size for of in by_split.values()):
        ends = np.concatenate([np.unique(of) for of in by_split.values()])
        if 0 <= int(ends.min()) and int(ends.max()) < MOST_CLASSES:  # `from_array` reports what is wrong with others
            classes = numbered(ends, str(path))
    return replace(from_array(images, labels, classes=classes, name=str(path), where=where), split=split)


def npz_splits(path: Path) -> tuple[str, ...]:
    """The splits of an .npz file, from the names of its arrays. Raises DataError as `from_npz` does."""
    with opened(path) as arrays:
        return tuple(_layout(arrays))


def _layout(arrays: Npz) -> dict[str, Names]:
    """The arrays of each split: those with the usual names in any case, else the only one that can be images.

    Prints a line about an array chosen by its shape and dtype, and about image-like arrays that are not used.
    """
    known = {name.lower(): name for name in reversed(arrays.names)}
    by_name = {split: _named(known, split) for split in ("train", "test")}
    found = {split: names for split, names in by_name.items() if names is not None}
    pictures = [name for name in arrays.names if _looks_like_images(arrays, name)]
    if "train" not in found:
        found = {"train": _only(arrays, pictures)}
    used = {names.images for names in found.values()}
    left = [name for name in pictures if name not in used]
    if left:
        _say_once(f"{arrays.path}: its images {first_few(left)} are not used, only {listed(sorted(used))}")
    return found


def _named(known: dict[str, str], split: str) -> Names | None:
    """The arrays of a split by name; `known` maps lower-case names to names."""
    for images, labels in _usual(split):
        if images in known:
            return Names(known[images], known.get(labels))
    return None


def _usual(split: str) -> Iterator[tuple[str, str]]:
    if split == "train":
        yield STEMS[0]
    for images, labels in STEMS:
        yield f"{split}_{images}", f"{split}_{labels}"
        yield f"{images}_{split}", f"{labels}_{split}"


def _only(arrays: Npz, pictures: list[str]) -> Names:
    """The only array that can be images, with labels if exactly one array can be those.

    Raises DataError unless exactly one array can be images.
    """
    if len(pictures) != 1:
        if len(arrays.names) == 1:
            arrays.header(arrays.names[0])  # raises if it is invalid
        there = [f"{name} {_form(arrays, name)}" for name in arrays.names]
        raise DataError(
            f"{arrays.path} has no array 'images', only {first_few(there, 5) or 'nothing'}; save it by {FIX}"
        )
    (images,) = pictures
    n = arrays.header(images).shape[0]
    fitting = [name for name in arrays.names if _looks_like_labels(arrays, name, n)]
    labels = fitting[0] if len(fitting) == 1 else None
    taken = f"{labels!r} for their labels" if labels else "no labels"
    of = f" (of {listed(fitting)} none is called labels)" if len(fitting) > 1 else ""
    _say_once(f"{arrays.path}: its array {images!r} is taken for the images, {taken}{of}; {FIX} names them")
    return Names(images, labels)


def _looks_like_images(arrays: Npz, name: str) -> bool:
    header = _seen(arrays, name)
    return header is not None and header.dtype == np.uint8 and len(header.shape) in (3, 4)


def _looks_like_labels(arrays: Npz, name: str, n: int) -> bool:
    header = _seen(arrays, name)
    return header is not None and header.dtype.kind in "iu" and header.shape in ((n,), (n, 1))


def _seen(arrays: Npz, name: str) -> Header | None:
    """The header of an array that may not be needed; None if it cannot be read."""
    try:
        return arrays.header(name)
    except DataError:
        return None


def _form(arrays: Npz, name: str) -> str:
    header = _seen(arrays, name)
    return "that cannot be read" if header is None else f"{header.dtype} {header.shape}"


def _column(labels: np.ndarray) -> np.ndarray:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _classes(arrays: Npz) -> list[str] | None:
    """The class names in the array `classes`, or None; its shape and dtype are checked before it is read."""
    if "classes" not in arrays:
        return None
    shape, kind = arrays.header("classes")
    if not (
        kind.kind == "U" and len(shape) == 1 and 0 < shape[0] <= MOST_CLASSES and kind.itemsize <= 4 * LONGEST_NAME
    ):
        raise DataError(
            f"{arrays.path} has an array 'classes' of {kind} {shape}; it holds the names of up to {MOST_CLASSES:,} "
            f"classes, each of up to {LONGEST_NAME} characters"
        )
    names: list[str] = arrays["classes"].tolist()
    name, times = Counter(names).most_common(1)[0]
    if times > 1 or "" in names:
        fault = f"the name {name!r} {times} times" if times > 1 else "an empty name"
        raise DataError(f"{arrays.path} has in its array 'classes' {fault}; every class needs a name of its own")
    return names


@lru_cache(maxsize=100)
def _say_once(line: str) -> None:
    """Print a line once, since a file is opened many times in one command."""
    say(line)
