"""Arrays in the cache: files that are mapped, not read, and bound to the SHA-256 of all their bytes.

The header of an .npy file holds shape and dtype, so that the one digest binds these too. A file is hashed when a
process first uses it, and again if the file system says that it is another file, or was changed, since.
"""

from __future__ import annotations

import hashlib
import os
from io import FileIO
from mmap import mmap
from pathlib import Path

import numpy as np

from counterfeit.system.files import Stamp, stamp

PIECE = 1 << 20  # bytes hashed together

_checked: dict[Path, tuple[Stamp, str]] = {}  # by this process: the file that was hashed, and its SHA-256


class Stored(np.memmap):
    """The whole array of an .npy file, mapped read-only.

    Attributes:
        sha256: of the file (hex), as it was checked.
    """

    sha256: str


def open_stored(path: Path, sha256: str) -> Stored:
    """The array of an .npy file of this SHA-256 (hex). Raises OSError, or ValueError if the file is another."""
    with FileIO(str(path)) as file:  # a string becomes the array's `filename`
        check(file, path, sha256)
        file.seek(0)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        array = Stored(file, dtype, "r", file.tell(), shape)
    array.sha256 = sha256
    return array


def is_whole(array: np.ndarray) -> bool:
    """Whether it is all of a stored file, and no part or copy of that."""
    return isinstance(array, Stored) and isinstance(array.base, mmap)


def check(file: FileIO, path: Path, sha256: str) -> None:
    """Compare the open file's content with a SHA-256 (hex). Raises ValueError if it differs.

    Once for as long as the stamp stays: an unchanged file costs a look at its inode, a changed one a pass over it.
    """
    now = stamp(os.fstat(file.fileno()))
    if _checked.get(path) == (now, sha256):
        return
    digest, piece = hashlib.sha256(), bytearray(PIECE)
    file.seek(0)
    while length := file.readinto(piece):
        digest.update(memoryview(piece)[:length])
    if digest.hexdigest() != sha256:
        raise ValueError("its content is not what was stored")
    _checked[path] = now, sha256
