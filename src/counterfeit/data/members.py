"""The files in an archive: where each begins and how long it is, held in little memory."""

from __future__ import annotations

import io
import os
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from counterfeit.data.npz import AT_EASE, MOST_TIMES
from counterfeit.data.picture import CONTENTS, MOST_BYTES, BadPicture

STORED, DEFLATED = 0, 8  # methods of compression, as .zip numbers them
LINK = "it is a link, which has no content of its own; put the file itself into the archive"


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its path, as stored.
        offset: where its header (.zip) or its content (.tar) begins.
        packed: bytes of its content as stored.
        size: bytes of its content.
        method: STORED or DEFLATED; BAD for a file without content, and SECRET for one that is encrypted.
        check: CRC-32 of the content, -1 if it has none.
    """

    name: str
    offset: int
    packed: int
    size: int
    method: int = STORED
    check: int = -1


BAD, SECRET = -1, -2
MOST = 1 << 62  # of a number: headers may say more than any file has


class Members:
    """Many members: 100 bytes for each, and its name."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._numbers = [array("q") for _ in Member._fields[1:]]

    def __len__(self) -> int:
        return len(self._names)

    def add(self, member: Member) -> int:
        """Add a member; returns its number."""
        self._names.append(member.name)
        for numbers, number in zip(self._numbers, member[1:], strict=True):
            numbers.append(min(number, MOST))
        return len(self) - 1

    def __getitem__(self, i: int) -> Member:
        return Member(self._names[i], *(numbers[i] for numbers in self._numbers))


class _Shared(io.RawIOBase):
    """An open file with a position of its own: that of the descriptor is shared by all who read from it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        before = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._at = before[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        found = os.pread(self._descriptor, len(buffer), self._at)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


class Packed:
    """The content of an archive, read by several threads.

    It is opened for every read, so that a thousand archives need no thousand open files; a temporary one stays open.
    """

    def __init__(self, path: Path, temporary: IO[bytes] | None = None) -> None:
        self._path, self._temporary = path, temporary
        self.length = os.fstat(temporary.fileno()).st_size if temporary else path.stat().st_size

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The archive as a file whose position nobody else moves."""
        if self._temporary is None:
            with self._path.open("rb") as file:
                yield file
        else:
            yield cast(IO[bytes], io.BufferedReader(_Shared(self._temporary.fileno())))

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer at the end of the file."""
        if self._temporary is not None:
            return os.pread(self._temporary.fileno(), length, offset)
        with self.opened() as file:
            file.seek(offset)
            return file.read(length)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._temporary is not None:
            self._temporary.close()

    @contextmanager
    def content(self, member: Member, offset: int) -> Iterator[bytes]:
        """The content of a member that begins at `offset`; its memory is reserved while the block runs.

        Raises BadPicture if it is damaged, or is far more than it takes in the archive.
        """
        fault = self._fault(member)
        if fault:
            raise BadPicture(fault)
        deflated = member.method == DEFLATED
        with CONTENTS.taken(member.size + member.packed * deflated):
            found = self.read(offset, member.packed)
            if len(found) != member.packed:
                raise BadPicture("it is cut short")
            yield _inflated(found, member) if deflated else found

    def _fault(self, member: Member) -> str:
        if member.method not in (STORED, DEFLATED):
            return (
                LINK if member.method == BAD else f"it is compressed by another method ({member.method}) than deflate"
            )
        if max(member.size, member.packed) > MOST_BYTES:
            return f"the file has more than {MOST_BYTES >> 20:,} MiB"
        if member.size > max(AT_EASE, MOST_TIMES * min(member.packed, self.length)):
            return f"it unpacks from {member.packed:,} bytes to {member.size:,}, over {MOST_TIMES} times as many"
        if member.method == STORED and member.size != member.packed:
            return "its two lengths differ"
        return ""


def _inflated(packed: bytes, member: Member) -> bytes:
    """The unpacked content. Raises BadPicture if it has another length or check sum than its header says."""
    try:
        unpacking = zlib.decompressobj(-15)
        found = unpacking.decompress(packed, member.size + 1)
    except zlib.error as error:
        raise BadPicture(f"it is damaged: {error}") from error
    if len(found) != member.size or zlib.crc32(found) != member.check:
        raise BadPicture("it is damaged: its content is not that of its check sum")
    return found
