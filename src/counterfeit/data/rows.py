"""Rows of an array of images; those of a stored array are read from its file.

A page of a memory map counts as the process's memory once it is touched, a row brings in fifteen neighboring pages, and
a truncated file kills the process. Reading has none of these problems, and is faster than touching the map and
releasing its pages after each batch (`docs/scaling.md`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.data.stored import Stored, check, is_whole
from counterfeit.errors import DataError


class Lazy(ABC):
    """Images that are computed when rows are requested; supports the array operations that are used on images here.

    Attributes:
        shape: (N, …) of the whole; `dtype`, `ndim` and `nbytes` are as in an array.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.nbytes = shape, len(shape), math.prod(shape) * self.dtype.itemsize

    @abstractmethod
    def taken(self, rows: np.ndarray) -> np.ndarray:
        """Compute the rows with indices `rows` (B,), >= 0, in memory: (B, …)."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> np.ndarray:
        """Index the first axis as in an array: by an integer, a slice, or an array of integers or booleans."""
        rows = np.arange(len(self))[chosen]
        return self.taken(rows) if rows.ndim else self.taken(rows[None])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All images in memory."""
        return np.asarray(self[:], dtype)


class Rows(Lazy):
    """Some rows of a memory map, which stay on the disk.

    Attributes:
        whole: (N, …), a memory map for which `is_stored` holds.
        rows: row indices (B,), >= 0.
    """

    def __init__(self, whole: np.ndarray, rows: np.ndarray) -> None:
        super().__init__((len(rows), *whole.shape[1:]))
        self.whole, self.rows = whole, rows

    def taken(self, rows: np.ndarray) -> np.ndarray:
        return take(self.whole, self.rows[rows])


def is_stored(images: np.ndarray | Lazy) -> bool:
    """Whether images are a whole stored file, as a folder's images are, or rows of one."""
    return isinstance(images, Rows) or (not isinstance(images, Lazy) and is_whole(images))


def take(images: np.ndarray | Lazy, rows: np.ndarray) -> np.ndarray:
    """images[rows] (B, …) in memory, for row indices (B,) >= 0.

    Raises DataError if the file of a stored array cannot be read, or has changed since it was opened.
    """
    if isinstance(images, Lazy):
        return images.taken(rows)
    if not isinstance(images, Stored) or not is_whole(images):
        return np.asarray(images[rows])
    found = np.empty((len(rows), *images.shape[1:]), images.dtype)
    path = Path(str(images.filename))
    try:
        with FileIO(path) as file:
            check(file, path, images.sha256)
            for place in np.argsort(rows):  # in the order on the disk
                file.seek(images.offset + int(rows[place]) * found[0].nbytes)
                if file.readinto(found[place]) != found[place].nbytes:
                    raise EOFError("it was cut short")
    except (OSError, EOFError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({fault}); run the command again to create it again") from error
    return found
