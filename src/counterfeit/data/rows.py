"""Rows of an array of images; those of a stored array are read from its file.

A page of a map counts as the process's memory from when it is looked at, a row brings fifteen pages of neighbours with
it, and a file that was cut short kills the process. Reading does none of this, and is quicker than looking through the
map and letting go of its pages after each batch (`docs/scaling.md`).
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import numpy as np

from counterfeit.data.stored import Stored, check, is_stored
from counterfeit.errors import DataError


def take(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """images[rows] (B, …) in memory, for rows (B,) from 0 up.

    Raises DataError if a stored array's file cannot be read, or holds anything else than when it was opened.
    """
    if not isinstance(images, Stored) or not is_stored(images):
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
