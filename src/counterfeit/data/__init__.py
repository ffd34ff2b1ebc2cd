"""Data sets: named ones fetched once and verified, folders of images, .npz files and arrays; uint8 all the way.

>>> from counterfeit import data
>>> images = data.load("mnist", "test").images  # doctest: +SKIP
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from counterfeit.data import cifar10, fashion_mnist, mnist, mnist5k  # noqa: F401 - each registers its data set
from counterfeit.data.arrays import from_array, from_npz
from counterfeit.data.batches import epoch_order
from counterfeit.data.cache import cache_dir
from counterfeit.data.folder import NATIVE, Size, load_folder
from counterfeit.data.image_set import ImageSet
from counterfeit.data.named import DATASETS, DataSet, load_named
from counterfeit.errors import DataError

__all__ = ["DATASETS", "NATIVE", "DataSet", "ImageSet", "cache_dir", "epoch_order", "load", "splits"]


def load(
    source: Any, split: str = "train", *, labels: Any | None = None, size: Size = None, skip_bad: bool = False
) -> ImageSet:
    """A split of a data set, whatever it comes from.

    Args:
        source: a name in DATASETS; the path of a folder of images, or of an .npz file with `images` and perhaps
            `labels`; or uint8 images (N, H, W), (N, H, W, C) or (N, C, H, W), numpy or torch. A name goes before a
            folder of that name; "./mnist" is the folder.
        split: one of `splits(source)`.
        labels: integers (N,) for an array; nothing else takes them.
        size: height and width, 8 to 1024 pixels, to which a folder's images are scaled, 64 by default; nothing else
            takes it. "native" takes images as they are: a folder's where all its files are of one size.
        skip_bad: leave out a folder's unusable files instead of raising; nothing else takes it.

    Raises:
        DataError: the data cannot be used as it is, or cannot be had.
        InputError: `size` or COUNTERFEIT_SOURCES is wrong.
    """
    name, path = _located(source)
    what = name or str(path or "an array")
    if labels is not None and (name or path):
        raise DataError(f"labels go only with an array, and {what} is none")
    if (size not in (None, NATIVE) or skip_bad) and not (path and path.is_dir()):
        raise DataError(f"size and skip_bad go only with a folder of images, and {what} is none")
    if name:
        return load_named(DATASETS[name], split)
    if split != "train":
        raise DataError(f"{what} has no split {split!r}, only 'train'")
    if path is None:
        return from_array(source, labels)
    return load_folder(path, size=size, skip_bad=skip_bad) if path.is_dir() else from_npz(path)


def splits(source: Any) -> tuple[str, ...]:
    """The names of the splits of what `load` takes. Raises DataError for a name or path that is none."""
    name, _ = _located(source)
    return DATASETS[name].splits if name else ("train",)


def _located(source: Any) -> tuple[str | None, Path | None]:
    """(name, None) for a data set's name, (None, path) for a path that is there, (None, None) for anything else."""
    if isinstance(source, str) and source in DATASETS:
        return source, None
    if not isinstance(source, str | os.PathLike):
        return None, None
    path = Path(source).expanduser()
    found = str(source) != "" and os.path.exists(path)  # Path("") would be the folder one happens to be in
    if found and (path.is_dir() or path.suffix.lower() == ".npz"):
        return None, path
    if found:
        raise DataError(f"{path} is neither a folder of images nor an .npz file; see `counterfeit list data`")
    if path.suffix.lower() == ".npz" or path.name != str(source):
        raise DataError(f"there is no folder or .npz file at {path}")
    raise DataError(
        f"no data set named {str(source)!r}; {DATASETS.suggest(str(source))}; the path of a folder of images or of an "
        ".npz file is possible too"
    )
