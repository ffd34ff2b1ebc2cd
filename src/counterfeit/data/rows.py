"""Rows of an array of images; those of a stored array are read from its file.

A page of a map counts as the process's memory from when it is looked at, a row brings fifteen pages of neighbours with
it, and a file that was cut short kills the process. Reading does none of this, and is quicker than looking through the
map and letting go of its pages after each batch (`docs/scaling.md`).
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.data.stored import Stored, check, is_whole
from counterfeit.errors import DataError


class Rows:
    """Some rows of a memory map, which stay on the disk: as much of an array as is asked of a memory map.

    Attributes:
        whole: (N, …), a memory map for which `is_stored` holds.
        rows: (B,) of its rows, from 0 up.
    """

    def __init__(self, whole: np.ndarray, rows: np.ndarray) -> None:
        self.whole, self.rows = whole, rows
        self.shape, self.dtype, self.ndim = (len(rows), *whole.shape[1:]), whole.dtype, whole.ndim
        self.nbytes = int(np.prod(self.shape)) * whole.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        """Rows in memory, chosen as by the first index of an array."""
        rows = self.rows[chosen]
        return take(self.whole, rows) if np.ndim(rows) else take(self.whole, rows[None])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them in memory."""
        return np.asarray(take(self.whole, self.rows), dtype)


def is_stored(images: np.ndarray | Rows) -> bool:
    """Whether they are all of a stored file, as a folder's images are, or rows of one."""
    return isinstance(images, Rows) or is_whole(images)


def take(images: np.ndarray | Rows, rows: np.ndarray) -> np.ndarray:
    """images[rows] (B, …) in memory, for rows (B,) from 0 up.

    Raises DataError if a stored array's file cannot be read, or holds anything else than when it was opened.
    """
    if isinstance(images, Rows):
        return take(images.whole, images.rows[rows])
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
        raise DataError(f"{path} cannot be read ({fault}); run the command again to have it made again") from error
    return found
