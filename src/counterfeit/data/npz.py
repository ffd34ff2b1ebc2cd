"""Read .npz files from strangers: the header of each array is checked before memory is allocated for it.

np.load would trust the header: 10^12 images, or 3 GB of zeros in a file of 3 MB. Nothing is unpickled.
"""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from counterfeit.errors import DataError
from counterfeit.system import memory
from counterfeit.system.words import shortened

AT_EASE = 1 << 28  # bytes: up to 256 MiB, unpacking does no harm, whatever the compression ratio
MOST_TIMES = 100  # largest compression ratio; digits on black have 5 to 10, and zeros 1,000
MOST_ARRAYS = 1000  # in a file
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # methods of np.savez and np.savez_compressed
SAVE = "save it again by np.savez"


class Header(NamedTuple):
    """The shape and dtype of an array as declared in its header, checked against the length of its content."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Npz:
    """The arrays of an open .npz file, each read only when requested; see `opened`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        self._members = {info.filename.removesuffix(".npy"): info for info in members}
        self._length = os.fstat(archive.fp.fileno()).st_size  # type: ignore[union-attr]

    @property
    def names(self) -> list[str]:
        """Names of the arrays, in the order of the file."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def header(self, name: str) -> Header:
        """The shape and dtype of an array. Raises DataError if unreadable, or larger than its content or the memory."""
        with self._reads(name), self._open(name) as file:
            found = _header(file)
            held = self._members[name].file_size - file.tell()
        if found.nbytes > held:
            raise self._fault(name, f"is declared as {found.dtype} {found.shape}, {found.nbytes:,} bytes, of {held:,}")
        free = memory.available()
        if free is not None and found.nbytes > free:
            raise self._fault(
                name, f"takes {memory.in_bytes(found.nbytes)} of memory, and there is {memory.in_bytes(free)}"
            )
        return found

    def __getitem__(self, name: str) -> np.ndarray:
        """Read a whole array. Raises DataError as `header` does, and for damaged content."""
        self.header(name)
        with self._reads(name), self._open(name) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def _open(self, name: str) -> IO[bytes]:
        """Open the unpacked content; refuse encryption, methods other than numpy's, and ratios beyond MOST_TIMES."""
        info = self._members[name]
        if info.flag_bits & 1:
            raise self._fault(name, "is encrypted")
        if info.compress_type not in PACKED:
            raise self._fault(name, f"is compressed by another method ({info.compress_type}) than numpy's")
        packed = min(info.compress_size, self._length)
        if info.file_size > max(AT_EASE, MOST_TIMES * packed):
            sizes = f"unpacks from {packed:,} bytes to {info.file_size:,}"
            raise self._fault(name, f"{sizes}, over {MOST_TIMES} times as many")
        return self._archive.open(info)

    @contextmanager
    def _reads(self, name: str) -> Iterator[None]:
        """Raise DataError for any exception from reading an array."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's, about headers written by Python 2
                yield
        except DataError:
            raise
        except MemoryError as error:
            raise self._fault(name, "is more than the memory that is free") from error
        except Exception as error:  # zipfile and numpy's header parser may raise anything on malformed content
            raise self._fault(name, f"cannot be read: {_in_words(error)}") from error

    def _fault(self, name: str, fault: str) -> DataError:
        return DataError(f"{self.path}: its array {name!r} {fault}; {SAVE}")


@contextmanager
def opened(path: Path) -> Iterator[Npz]:
    """Open an .npz file. Raises DataError for any other file; does not wait for a pipe or device."""
    with _archive(path) as archive:
        arrays = Npz(path, archive)
        if len(arrays.names) > MOST_ARRAYS:
            raise DataError(f"{path} holds {len(arrays.names):,} arrays; {SAVE}, with all images in one array 'images'")
        yield arrays


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is a pipe, socket or device and not a file; {SAVE} into a file")
        with path.open("rb") as file:
            single = file.read(6) == b"\x93NUMPY"
        if single:
            raise DataError(f"{path} is a single array and not an .npz file; save it by np.savez(path, images=array)")
        return zipfile.ZipFile(path)
    except DataError:
        raise
    except Exception as error:  # see above
        raise DataError(f"{path} cannot be read as .npz ({_in_words(error)}); {SAVE}") from error


def _header(file: IO[bytes]) -> Header:
    """Parse the header of an .npy file, up to where the content begins. Raises any exception if malformed."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):  # 3.0 is for field names, which images do not have
        raise ValueError(f"it has version {version[0]}.{version[1]} of numpy's format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape is {shape}")
    return Header(shape, dtype)


def _in_words(error: Exception) -> str:
    fault = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shortened(" ".join(fault.split()), 100) or type(error).__name__
