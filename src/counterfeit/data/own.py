"""The user's own images in two splits: those of a folder or an archive, or a part held out with a fixed seed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from counterfeit.data.archive import Archive, archive_trees
from counterfeit.data.convert import NATIVE, Size
from counterfeit.data.folder import load_files
from counterfeit.data.image_set import ImageSet, content_digest
from counterfeit.data.picture import EXTENSIONS
from counterfeit.data.place import Place
from counterfeit.data.rows import Rows, is_stored, take
from counterfeit.data.shards import PARQUET, by_split, expand, is_pattern, shards_in
from counterfeit.data.splits import among
from counterfeit.data.table import Table
from counterfeit.data.tree import Folder, Tree
from counterfeit.errors import DataError
from counterfeit.system.console import say
from counterfeit.system.sides import spelled

SEED = 20140610  # seed of the held-out part, the same for all runs: training seeds are compared on one split


def trees(place: Place) -> dict[str, Tree]:
    """The image files of each split of a folder, an archive or a table: train and test, or train alone.

    Raises DataError for subfolders that look like splits but are not exactly these two.
    """
    assert place.path is not None
    shards = shards_of(place)
    if len(shards) == 1 and shards[0].suffix.lower() != PARQUET:
        return archive_trees(shards[0], place.name)
    if shards:
        kind = Table if shards[0].suffix.lower() == PARQUET else Archive
        return {split: kind(paths, place.name, split) for split, paths in by_split(shards, place.name).items()}
    return {split: Folder(path) for split, path in split_folders(place.path).items()}


def shards_of(place: Place) -> list[Path]:
    """The files of an archive, of a table or of a folder that holds nothing but such; [] for a folder of images."""
    assert place.path is not None
    if is_pattern(place.path):
        return expand(str(place.path))
    return shards_in(place.path) if place.kind == "folder" else [place.path]


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of the splits "train" and "test", or `root` as "train" if it is a single split.

    Case is ignored; hidden files and files that are not images may be beside them. Raises DataError as `among` does.
    """
    try:
        there = os.listdir(root)
    except OSError:
        return {"train": root}  # the code that reads the images reports the fault
    if not any(name.lower() == "train" for name in there):
        return {"train": root}  # early: there may be a million names
    there = [name for name in there if name[0] != "."]
    folders = {name: root / name for name in there if (root / name).is_dir()}
    images = any(os.path.splitext(name)[1].lower() in EXTENSIONS and name not in folders for name in there)
    found = among(root, folders, images)
    return {split: folders[name] for split, name in found.items()} if found else {"train": root}


def load_split(place: Place, split: str, *, size: Size, skip_bad: bool) -> ImageSet:
    """Load a split of a folder or an archive. Raises DataError if train and test differ in form or classes."""
    homes = trees(place)
    train = load_files(homes["train"], size=size, skip_bad=skip_bad)
    if split == "train":
        return train
    as_train = NATIVE if size == NATIVE else spelled(*train.shape[1:])
    test = replace(load_files(homes["test"], size=as_train, skip_bad=skip_bad), split="test")
    _check_pair(place.path, train, test, homes)
    if size is None and min(test.sizes[0]) < train.shape[1]:
        say(
            f"{place.path}: images in {homes['test'].name}/, down to {min(test.sizes[0])} pixels, are enlarged to the "
            f"{train.shape[1]} of the training images; --size {min(test.sizes[0])} makes these as small"
        )
    return test


def _check_pair(where: Path | None, train: ImageSet, test: ImageSet, homes: Mapping[str, Tree]) -> None:
    """Raise DataError if the splits have other sizes, channels or classes."""
    if test.shape[1:] != train.shape[1:]:
        sizes = [f"{images.shape[1]}x{images.shape[2]}" for images in (train, test)]
        least = min(*train.shape[1:], *test.shape[1:])
        raise DataError(
            f"{where}: the images of the two splits are {' and '.join(sizes)}; pass --size {least}, for example"
        )
    if test.shape != train.shape:
        gray = homes["test" if test.shape[0] == 1 else "train"]
        raise DataError(f"{where}: all images in {gray.name}/ are gray and those of the other split are not")
    if test.classes != train.classes:
        if not (train.classes and test.classes):
            having, without = (homes["train"], homes["test"]) if train.classes else (homes["test"], homes["train"])
            raise DataError(
                f"{where}: {having.name}/ has classes and {without.name}/ has none, which takes two subfolders or "
                "more, and no images beside them; both splits need the same subfolders"
            )
        odd = sorted(set(train.classes) ^ set(test.classes))[0]
        split = "train" if odd in train.classes else "test"
        raise DataError(
            f"{where}: the class {odd!r} is in {homes[split].name}/ only; both splits need the same subfolders"
        )


def held_out(images: ImageSet, holdout: float) -> dict[str, ImageSet]:
    """Split images that have no test split into "train" and "test"; `holdout` is the fraction of test images.

    The rows depend only on the number of images and the fraction, with a fixed seed. Rows of a memory map stay on the
    disk. Raises DataError if a split would be empty.
    """
    rows = held_out_rows(len(images), holdout)
    if not all(len(chosen) for chosen in rows.values()):
        raise DataError(f"--holdout {holdout:g} of the {len(images):,} images of {images.name} leaves a split empty")
    return {split: _part(images, split, chosen) for split, chosen in rows.items()}


def held_out_rows(n: int, holdout: float) -> dict[str, np.ndarray]:
    """Row indices of "train" and "test", int64, ascending; together 0 to n - 1."""
    order = np.random.default_rng(SEED).permutation(n)
    tested = round(n * holdout)
    return {"train": np.sort(order[tested:]), "test": np.sort(order[:tested])}


def _part(images: ImageSet, split: str, rows: np.ndarray) -> ImageSet:
    # `Rows` of a memory map has everything that the code here needs of an array.
    stored: Any = Rows(images.images, rows) if is_stored(images.images) else take(images.images, rows)
    pixels = cast(np.ndarray, stored)
    labels = None if images.labels is None else images.labels[rows]
    return replace(images, split=split, images=pixels, labels=labels, digest=content_digest(pixels, labels))
