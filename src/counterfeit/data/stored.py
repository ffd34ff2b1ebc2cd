"""Arrays in the cache: files that are memory-mapped rather than read, and identified by the SHA-256 of all their bytes.

Since the header of an .npy file contains shape and dtype, the digest covers these too. A file is hashed when a process
first uses it, and again if its stamp says that it was replaced or changed.
"""

from __future__ import annotations

import hashlib
import os
from io import FileIO
from mmap import mmap
from pathlib import Path

import numpy as np

from counterfeit.system.files import Stamp, stamp

PIECE = 1 << 20  # bytes hashed at a time

_checked: dict[Path, tuple[Stamp, str]] = {}  # files hashed by this process: stamp and SHA-256


class Stored(np.memmap):
    """The whole array of an .npy file, mapped read-only.

    Attributes:
        sha256: SHA-256 (hex) of the file, as checked.
    """

    sha256: str


def open_stored(path: Path, sha256: str) -> Stored:
    """Map the array of an .npy file with this SHA-256 (hex). Raises OSError, or ValueError if the content differs."""
    with FileIO(str(path)) as file:  # a string is stored as the array's `filename`
        check(file, path, sha256)
        file.seek(0)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        array = Stored(file, dtype, "r", file.tell(), shape)
    array.sha256 = sha256
    return array


def is_whole(array: np.ndarray) -> bool:
    """Whether an array is the whole of a stored file, rather than a part or a copy."""
    return isinstance(array, Stored) and isinstance(array.base, mmap)


def check(file: FileIO, path: Path, sha256: str) -> None:
    """Compare the content of an open file with a SHA-256 (hex). Raises ValueError if it differs.

    Done once per stamp: for an unchanged file only its inode is read, a changed one is hashed again.
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
