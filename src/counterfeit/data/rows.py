"""Rows of an array of images; those of a stored array are read from its file.

A page of a map counts as the process's memory from when it is looked at, a row brings fifteen pages of neighbours with
it, and a file that was cut short kills the process. Reading does none of this, and is quicker than looking through the
map and letting go of its pages after each batch (`docs/scaling.md`).
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
    """Images that are made when rows of them are asked for: as much of an array as is asked of images here.

    Attributes:
        shape: (N, …) of the whole; `dtype`, `ndim` and `nbytes` as of an array.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.nbytes = shape, len(shape), math.prod(shape) * self.dtype.itemsize

    @abstractmethod
    def taken(self, rows: np.ndarray) -> np.ndarray:
        """The rows (B,), numbers from 0 up, in memory: (B, …)."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Any) -> np.ndarray:
        """As of an array, for one number, a slice, or an array of numbers or of booleans over the first axis."""
        rows = np.arange(len(self))[chosen]
        return self.taken(rows) if rows.ndim else self.taken(rows[None])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them in memory."""
        return np.asarray(self[:], dtype)


class Rows(Lazy):
    """Some rows of a memory map, which stay on the disk.

    Attributes:
        whole: (N, …), a memory map for which `is_stored` holds.
        rows: (B,) of its rows, from 0 up.
    """

    def __init__(self, whole: np.ndarray, rows: np.ndarray) -> None:
        super().__init__((len(rows), *whole.shape[1:]))
        self.whole, self.rows = whole, rows

    def taken(self, rows: np.ndarray) -> np.ndarray:
        return take(self.whole, self.rows[rows])


def is_stored(images: np.ndarray | Lazy) -> bool:
    """Whether they are all of a stored file, as a folder's images are, or rows of one."""
    return isinstance(images, Rows) or (not isinstance(images, Lazy) and is_whole(images))


def take(images: np.ndarray | Lazy, rows: np.ndarray) -> np.ndarray:
    """images[rows] (B, …) in memory, for rows (B,) from 0 up.

    Raises DataError if a stored array's file cannot be read, or holds anything else than when it was opened.
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
            for place in np.argsort(rows):  # as they lie on the disk
                file.seek(images.offset + int(rows[place]) * found[0].nbytes)
                if file.readinto(found[place]) != found[place].nbytes:
                    raise EOFError("it was cut short")
    except (OSError, EOFError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({fault}); run the command again to create it again") from error
    return found
