"""List the files of a .zip archive from its directory, one at a time; `zipfile` would hold 700 bytes for each.

The format is PKWARE's APPNOTE, sections 4.3 and 4.5: the directory stands at the end of the file, and behind it where
it begins.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from counterfeit.data.members import BAD, SECRET, Member, Packed
from counterfeit.data.picture import BadPicture
from counterfeit.errors import DataError

LOCAL = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
CENTRAL = struct.Struct("<4s4xHH4xIIIHHH4xII")  # signature, flags, method, crc, lengths, lengths of texts, mode, offset
END = struct.Struct("<4s6xHIIH")  # signature, number of files, length of the directory, its offset, length of a comment
END64, LOCATOR64 = struct.Struct("<4s28xQQQ"), struct.Struct("<4s4xQ4x")
ENCRYPTED, UTF8 = 1, 1 << 11  # flags
FULL = 0xFFFFFFFF  # in place of a number that has 64 bits in the extra field
ZIP64, UNICODE = 1, 0x7075  # kinds of extra fields
SYMLINK = 0o120000  # of the file's mode
PIECE = 1 << 16


def zip_members(packed: Packed, where: str) -> Iterator[Member]:
    """Yield the files of a .zip archive in the order of its directory.

    Raises DataError if it is none, is cut short or damaged.
    """
    try:
        count, length, offset, shift = _directory(packed)
        if offset + shift < 0 or offset + shift + length > packed.length:
            raise ValueError("its directory is not where it should be")
        at = offset + shift
        end, piece, begun, seen = at + length, b"", at, 0
        while at < end:
            known = begun + len(piece)
            # An entry has three texts, of up to PIECE each.
            if known < end and at + CENTRAL.size + 3 * PIECE > known:
                begun, piece = at, packed.read(at, min(end - at, 64 * PIECE))
            member, used = _member(memoryview(piece)[at - begun :], shift)
            at, seen = at + used, seen + 1
            if member is not None:
                if not 0 <= member.offset <= packed.length:
                    raise ValueError("its directory lists a file that is not within it")
                yield member
        if (seen - count) % PIECE:  # some programs count to 65,535 and begin again
            raise ValueError(f"its directory lists {seen:,} files, and should list {count:,}")
    except (struct.error, ValueError, OSError) as error:
        fault = str(error) if isinstance(error, ValueError) else "it ends within its directory"
        raise DataError(f"{where} cannot be read as a .zip archive ({fault}); download or pack it again") from error


def zip_offset(packed: Packed, member: Member) -> int:
    """Where the content of a member begins, behind its own header. Raises BadPicture if there is none."""
    header = packed.read(member.offset, LOCAL.size)
    if len(header) < LOCAL.size or header[:4] != b"PK\3\4":
        raise BadPicture("it is damaged: the archive has no header there")
    _, name, extra = LOCAL.unpack(header)
    return member.offset + LOCAL.size + int(name) + int(extra)


def _directory(packed: Packed) -> tuple[int, int, int, int]:
    """Number of files, the directory's length and offset, and how far all offsets are shifted by what is before."""
    tail_at = max(0, packed.length - PIECE - END.size)
    tail = packed.read(tail_at, PIECE + END.size)
    at = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - END.size + 4))
    if at < 0:
        raise ValueError("it has no directory at its end, as if it were cut short")
    _, count, length, offset, _ = END.unpack_from(tail, at)
    behind = tail_at + at
    if at >= LOCATOR64.size and tail[at - LOCATOR64.size :][:4] == b"PK\6\7":
        _, found = LOCATOR64.unpack_from(tail, at - LOCATOR64.size)
        record = packed.read(found, END64.size)
        if record[:4] == b"PK\6\6":
            _, count, length, offset = END64.unpack(record)
            behind = found
    return count, length, offset, behind - length - offset


def _member(piece: memoryview, shift: int) -> tuple[Member | None, int]:
    """The file whose entry begins here, None for a folder; and the length of the entry."""
    signature, flags, method, check, packed, size, *lengths, mode, offset = CENTRAL.unpack_from(piece)
    if signature != b"PK\1\2":
        raise ValueError("its directory is damaged")
    end = CENTRAL.size + sum(lengths)
    if end > len(piece):
        raise ValueError("its directory is damaged")
    raw = bytes(piece[CENTRAL.size :][: lengths[0]])
    extra = dict(_extra(bytes(piece[CENTRAL.size + lengths[0] :][: lengths[1]])))
    full = [number for number in (size, packed, offset) if number == FULL]
    if full and ZIP64 in extra:
        wide = iter(struct.unpack_from(f"<{len(full)}Q", extra[ZIP64]))
        size, packed, offset = (next(wide) if number == FULL else number for number in (size, packed, offset))
    name = _name(raw, flags, extra).replace("\\", "/")  # programs for Windows have written "\"
    if name.endswith("/"):
        return None, end
    if flags & ENCRYPTED:
        method = SECRET
    elif (mode >> 16) & 0o170000 == SYMLINK:
        method = BAD
    return Member(name, offset + shift, packed, size, method, check), end


def _name(raw: bytes, flags: int, extra: dict[int, bytes]) -> str:
    better = extra.get(UNICODE, b"")  # version, CRC-32 of the name that it stands for, the name
    if better[:1] == b"\1" and better[1:5] == struct.pack("<I", zlib.crc32(raw)):
        raw, flags = better[5:], UTF8
    return raw.decode("utf-8", "surrogateescape") if flags & UTF8 else raw.decode("cp437")


def _extra(fields: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(fields):
        kind, length = struct.unpack_from("<HH", fields, at)
        yield kind, fields[at + 4 : at + 4 + length]
        at += 4 + length
