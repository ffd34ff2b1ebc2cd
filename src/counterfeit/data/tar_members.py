"""List the files of a .tar archive from its headers, one at a time, and unpack a .tar.gz to a temporary file."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

from counterfeit.data.members import BAD, Member, Packed
from counterfeit.data.npz import AT_EASE, MOST_TIMES
from counterfeit.errors import DataError
from counterfeit.system.console import progress

LONGEST_HEADER = 1 << 20  # bytes: a header may declare a name of any length
PIECE = 1 << 20


class Headers:
    """A file that gives no more than LONGEST_HEADER bytes at a time, for `tarfile`, which reads headers only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, length: int) -> bytes:
        if not 0 <= length <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {length:,} bytes")
        return self._file.read(length)


def tar_members(packed: Packed, where: str) -> Iterator[Member]:
    """Yield the files of a .tar archive in the order in which they stand there.

    Raises DataError if it is none, or is cut short: the end of a .tar is marked, which `tarfile` does not ask for.
    """
    try:
        with packed.opened() as file, _archive(file) as archive:
            while (found := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
                if found.size < 0 or archive.offset < found.offset_data:  # it would be read again and again
                    raise tarfile.ReadError(f"at byte {found.offset:,} a file of {found.size:,} bytes")
                if not found.isdir():
                    regular = found.isreg() and not found.issparse()
                    yield Member(found.name, found.offset_data, found.size, found.size, 0 if regular else BAD)
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"it is cut short or damaged at byte {archive.offset:,}")
    except DataError:
        raise
    except Exception as error:  # tarfile may raise anything on malformed headers
        raise _unreadable(where, error) from error


def _archive(file: IO[bytes]) -> tarfile.TarFile:
    file.seek(0)
    return tarfile.open(fileobj=cast(IO[bytes], Headers(file)), mode="r:")


def unpacked(path: Path, where: str, folder: Path) -> IO[bytes]:
    """The .tar in a .tar.gz, in a temporary file in `folder` that goes when it is closed.

    Raises DataError if it is damaged or cut short, or unpacks to more than 256 MiB and over 100 times its size.
    """
    packed = path.stat().st_size
    most, size = max(AT_EASE, MOST_TIMES * packed), 0
    folder.mkdir(parents=True, exist_ok=True)
    file = TemporaryFile(dir=folder)
    try:
        with path.open("rb") as raw, gzip.open(raw) as source, progress(f"{where}: unpacking", packed) as advance:
            done = 0
            while piece := source.read(PIECE):
                file.write(piece)
                size += len(piece)
                if size > most:
                    raise DataError(f"{where} unpacks from {packed:,} bytes to more than {most:,}, and is not read")
                advance(raw.tell() - done)
                done = raw.tell()
        file.flush()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        file.close()
        raise _unreadable(where, error) from error
    except BaseException:
        file.close()
        raise
    return cast(IO[bytes], file)


def _unreadable(where: str, error: Exception) -> DataError:
    fault = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{where} cannot be read as a .tar archive ({fault}); download or pack it again")
