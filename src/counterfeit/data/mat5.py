"""Read arrays of bytes from MATLAB files of version 5: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.

A file is a header of 128 bytes, then elements: a type and a length of 4 bytes each, and the content, padded to 8 bytes.
An element of at most 4 bytes has its type and length in 2 bytes each, and the content behind them in the other 4.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from counterfeit.data.unpack import LIMIT
from counterfeit.errors import DataError

UINT8, INT32, COMPRESSED, MATRIX = 2, 5, 15, 14  # types of elements
HEADER = 128
MOST_AXES = 8


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file whose values are stored as uint8, by name; a view of its content. Others are left out.

    Raises DataError if it is not such a file, is damaged, or unpacks to more than LIMIT bytes an array.
    """
    found = {}
    try:
        with path.open("rb") as file:
            header = file.read(HEADER)
            if len(header) < HEADER or header[124:128] != b"\0\1IM":  # version 1.0, little-endian
                raise ValueError("it has not the header of version 5")
            while tag := file.read(8):
                kind, length = struct.unpack("<II", tag)
                if length > LIMIT:
                    raise ValueError(f"it has an element of {length:,} bytes")
                content = file.read(length)
                if len(content) != length:
                    raise ValueError("it ends within an element")
                named = _matrix(_inflated(content) if kind == COMPRESSED else tag + content)
                if named is not None:
                    found[named[0]] = named[1]
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a MATLAB file ({error}); it must be downloaded again") from error
    return found


def _inflated(content: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(content, LIMIT + 1)
    if len(found) > LIMIT:
        raise ValueError(f"an array unpacks to more than {LIMIT:,} bytes")
    return found


def _matrix(content: bytes) -> tuple[str, np.ndarray] | None:
    """Name and array of an element, or None if it is not an array that is stored as uint8."""
    kind, inside, _ = _element(memoryview(content))
    if kind != MATRIX:
        return None
    parts: list[tuple[int, memoryview]] = []
    for _ in range(4):  # flags, lengths of the axes, name, values
        kind, part, used = _element(inside)
        parts.append((kind, part))
        inside = inside[used:]
    (_, _), (axes, lengths), (_, name), (values, numbers) = parts
    if axes != INT32 or values != UINT8:
        return None
    shape = struct.unpack(f"<{len(lengths) // 4}i", lengths)
    if len(shape) > MOST_AXES or min(shape) < 0 or math.prod(shape) != len(numbers):
        raise ValueError(f"an array of {len(numbers):,} bytes is declared as {shape[:MOST_AXES]}")
    return bytes(name).decode("ascii"), np.frombuffer(numbers, np.uint8).reshape(shape, order="F")


def _element(content: memoryview) -> tuple[int, memoryview, int]:
    """Type and content of the element that begins here, and the bytes that it takes."""
    kind, length = struct.unpack_from("<II", content)
    if kind >> 16:  # a small one
        return kind & 0xFFFF, content[4 : 4 + min(4, kind >> 16)], 8
    if 8 + length > len(content):
        raise ValueError("an element is longer than what holds it")
    return kind, content[8 : 8 + length], 8 + -(-length // 8) * 8
