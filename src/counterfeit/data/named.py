"""Named data sets: their definition, and how they are loaded from the cache and verified."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterfeit.catalog import DataFacts
from counterfeit.data.arrays import as_nchw
from counterfeit.data.cache import cache_dir, locked, sealed, unsealed
from counterfeit.data.image_set import ImageSet, content_digest
from counterfeit.data.sources import Source, allowed_kinds, fetch_first
from counterfeit.errors import DataError
from counterfeit.registry import Registry
from counterfeit.system import reading
from counterfeit.system.console import say
from counterfeit.system.files import write_atomic

RECORD = "made.json"  # in the folder of a data set: the SHA-256 of its files that have none in the code
MOST_RECORD = 1 << 20  # bytes


@dataclass(frozen=True)
class RawFile:
    """A file in the cache.

    Attributes:
        name: file name.
        sha256: SHA-256 (hex) of the whole file; checked before every use. None for a file that is made of downloaded
            ones, whose SHA-256 the source checks: then it is what the file had when it was made, see RECORD.
        parse: (bytes as uint8 (n,), path for messages) -> array (a view); raises DataError if the bytes are invalid.
    """

    name: str
    sha256: str | None
    parse: Callable[[np.ndarray, Path], np.ndarray]

    def read(self, folder: Path) -> np.ndarray:
        """The file's array. Raises FileNotFoundError, or DataError that names the file and its fault."""
        path = folder / self.name
        content = np.fromfile(path, np.uint8)
        array = self.parse(content, path)
        found, expected = hashlib.sha256(content.data).hexdigest(), self.sha256 or _recorded(folder, self.name)
        if found != expected:
            raise DataError(f"{path} is damaged: SHA-256 {found}, expected {expected}; it must be downloaded again")
        return array


def _recorded(folder: Path, name: str) -> str:
    """The SHA-256 (hex) of a file when it was made. Raises FileNotFoundError, or DataError if the record is damaged."""
    path = folder / RECORD
    try:
        return str(unsealed(reading.content(path, MOST_RECORD))[name])
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}); {name} must be downloaded again") from error


def parse_raw(content: np.ndarray, path: Path, *, shape: tuple[int, ...]) -> np.ndarray:
    """Reshape the content of a file without a header, uint8 (n,). Raises DataError if the length differs."""
    if len(content) != math.prod(shape):
        raise DataError(
            f"{path} has {len(content):,} bytes, expected {math.prod(shape):,}; it must be downloaded again"
        )
    return content.reshape(shape)


@dataclass(frozen=True)
class DataSet(DataFacts):
    """A data set with pinned content.

    Attributes:
        name: the name that the user types; its description for `counterfeit list data` is in `catalog.py`.
        classes: class names in label order.
        files: by split, the raw files of images ((N, H, W) or (N, H, W, C)) and labels ((N,)).
        sources: in the order in which they are tried.
    """

    name: str
    classes: tuple[str, ...]
    files: Mapping[str, tuple[RawFile, RawFile]]
    sources: tuple[Source, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.files)


DATASETS: Registry[DataSet] = Registry("data set")


def load_named(data: DataSet, split: str) -> ImageSet:
    """Load a split of a named data set, downloaded if necessary. Raises DataError if it is not available."""
    if split not in data.files:
        raise DataError(f"{data.name} has no split {split!r}, only {' and '.join(data.splits)}")
    raw_images, raw_labels = _read(data, split)
    images, labels = as_nchw(raw_images, data.name), raw_labels.astype(np.int64)
    return ImageSet(data.name, split, images, labels, data.classes, content_digest(images, labels), "dataset")


def _read(data: DataSet, split: str) -> list[np.ndarray]:
    """The split's arrays, verified; downloaded if they are missing from the cache, or damaged there."""
    folder = cache_dir() / data.name
    allowed_kinds()  # report an invalid COUNTERFEIT_SOURCES now, not only when the cache is empty
    try:
        return [file.read(folder) for file in data.files[split]]
    except (OSError, DataError):
        pass  # checked again under the lock: another process may be repairing it
    with locked(folder / ".lock", data.name) as folder:
        damage = ""
        try:
            return [file.read(folder) for file in data.files[split]]
        except FileNotFoundError:
            pass
        except DataError as error:
            damage = f"{error}, but "
            say(str(error))
        try:
            _fetch(data, folder)
        except DataError as error:
            raise DataError(f"{damage}{error}") from error
        return [file.read(folder) for file in data.files[split]]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _fetch(data: DataSet, folder: Path) -> None:
    """Download all raw files of the data set, and move each to its folder in the cache once all are verified."""
    # A fixed name rather than a random one: the lock keeps other processes out, and an interrupted download is resumed.
    work = folder / ".fetching"
    work.mkdir(exist_ok=True)
    files = [file for pair in data.files.values() for file in pair]

    made = [file.name for file in files if file.sha256 is None]

    def verify() -> None:
        if made:
            write_atomic(work / RECORD, sealed({name: _digest(work / name) for name in made}).encode())
        for file in files:
            file.read(work)

    fetch_first(data.name, data.sources, work, verify)
    for name in [*(file.name for file in files), *([RECORD] if made else [])]:
        os.replace(work / name, folder / name)
    shutil.rmtree(work)
