"""Data sets: named ones, downloaded and verified, folders and archives of images, .npz files, arrays; always uint8.

>>> from counterfeit import data
>>> images = data.load("mnist", "test").images  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from counterfeit.data import (  # noqa: F401 - each registers its data set
    cifar10,
    emnist,
    fashion_mnist,
    kmnist,
    mnist,
    mnist5k,
    stacked_mnist,
    svhn,
)
from counterfeit.data.arrays import from_array
from counterfeit.data.batches import epoch_order
from counterfeit.data.cache import cache_dir
from counterfeit.data.convert import NATIVE, Size
from counterfeit.data.image_set import ImageSet
from counterfeit.data.named import DATASETS, DataSet, load_named
from counterfeit.data.own import held_out, load_split, trees
from counterfeit.data.own_npz import from_npz, npz_splits
from counterfeit.data.place import Place, label, locate
from counterfeit.data.rows_of import is_dataset, read
from counterfeit.errors import DataError
from counterfeit.system.arguments import checked

__all__ = [
    "DATASETS",
    "NATIVE",
    "DataSet",
    "ImageSet",
    "Place",
    "cache_dir",
    "epoch_order",
    "label",
    "load",
    "load_splits",
    "locate",
    "splits",
]


@checked
def load(
    source: Any,
    split: str = "train",
    *,
    labels: Any | None = None,
    size: Size = None,
    skip_bad: bool = False,
    holdout: float = 0.0,
) -> ImageSet:
    """Load a split of a data set, a folder, a file or an array.

    Args:
        source: a name in DATASETS; the path of a folder of images, of a .zip or .tar archive of such a folder, or of an
            .npz file with `images` and optional `labels`; or uint8 images (N, H, W), (N, H, W, C) or (N, C, H, W),
            numpy or torch. A name takes precedence over a folder with that name; "./mnist" is the folder. A folder with
            the subfolders train/ and test/, and an .npz file with x_train and x_test (or train_images and test_images),
            have these two splits. An ImageSet is returned as it is. A data set of PyTorch, torchvision or Hugging Face
            is read once, see `rows_of.read`.
        split: one of `splits(source)`.
        labels: integers (N,), only for an array.
        size: height and width, 8 to 1024 pixels, to which image files are scaled, 64 by default, or "48x64" if they
            differ; only for a folder or an archive. "native" does not scale: all files must then have the same size.
        skip_bad: skip unusable files of a folder or an archive instead of raising.
        holdout: fraction of the images, 0 to 1, to hold out as a test split if there is none, with a fixed seed.

    Raises:
        DataError: the data cannot be used or downloaded.
        InputError: `size` or COUNTERFEIT_SOURCES is invalid.
    """
    found = load_splits(source, [split], labels=labels, size=size, skip_bad=skip_bad, holdout=holdout)
    return found[split]


@checked
def load_splits(
    source: Any,
    wanted: Iterable[str] | None = None,
    *,
    labels: Any | None = None,
    size: Size = None,
    skip_bad: bool = False,
    holdout: float = 0.0,
) -> dict[str, ImageSet]:
    """Load several splits, by default all, by name; for the arguments, see `load`."""
    place = locate(source)
    if labels is not None and (place.kind != "array" or isinstance(source, ImageSet)):
        raise DataError(f"labels= is only for an array, and {place.name} is not one")
    if (size not in (None, NATIVE) or skip_bad) and not place.has_files:
        what = "an array" if place.kind == "array" else place.name
        raise DataError(
            f"size and skip_bad are only for a folder, an archive or a table of images, and {what} is not one"
        )
    own = _own_splits(source, place)
    there = _with_held_out(own, place, holdout)
    chosen = list(there if wanted is None else wanted)
    for split in chosen:
        if split not in there:
            raise DataError(f"{place.name} has no split {split!r}, only {' and '.join(there)}")
    if there != own:
        parts = held_out(_loaded(source, place, own[0], labels, size, skip_bad), holdout)
        return {split: parts[split] for split in chosen}
    return {split: _loaded(source, place, split, labels, size, skip_bad) for split in chosen}


@checked
def splits(source: Any, holdout: float = 0.0) -> tuple[str, ...]:
    """The names of the splits of a source that `load` accepts. Raises DataError for an unknown name or path."""
    place = locate(source)
    return _with_held_out(_own_splits(source, place), place, holdout)


def _own_splits(source: Any, place: Place) -> tuple[str, ...]:
    if isinstance(source, ImageSet):
        return (source.split,)
    if place.kind == "dataset":
        return DATASETS[place.name].splits
    if place.path is None:
        return ("train",)
    return npz_splits(place.path) if place.kind == "npz" else tuple(trees(place))


def _with_held_out(own: tuple[str, ...], place: Place, holdout: float) -> tuple[str, ...]:
    if not 0 <= holdout < 1:
        raise DataError(f"holdout is {holdout}; it must be at least 0 (none) and less than 1, such as 0.1")
    if not holdout:
        return own
    if own != ("train",):
        raise DataError(f"{place.name} already has a test split: leave out --holdout {holdout:g}")
    return ("train", "test")


def _loaded(source: Any, place: Place, split: str, labels: Any, size: Size, skip_bad: bool) -> ImageSet:
    if isinstance(source, ImageSet):
        return source
    if place.kind == "dataset":
        return load_named(DATASETS[place.name], split)
    if place.path is None and is_dataset(source):
        rows = read(source)
        if labels is not None and rows.labels is not None:
            raise DataError(f"{type(source).__name__} has labels of its own: leave out labels=")
        given = rows.labels if labels is None else labels
        return from_array(rows.images, given, classes=rows.classes or None, where=type(source).__name__)
    if place.path is None:
        return from_array(source, labels)
    if place.kind == "npz":
        found = from_npz(place.path, split)
    else:
        found = load_split(place, split, size=size, skip_bad=skip_bad)
    return replace(found, name=place.name, kind=place.kind)
