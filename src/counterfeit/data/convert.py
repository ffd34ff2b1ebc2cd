"""The files of a folder read and turned into one array: once to see what they are, once more to decode them."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np

from counterfeit.data.image_set import SMALLEST_SIDE
from counterfeit.data.picture import BadPicture, Decoded, Header, content_of, decode, examine
from counterfeit.data.walk import Entry, walk
from counterfeit.errors import DataError
from counterfeit.system.console import progress

DEFAULT_SIZE = 64  # pixels
SIZES = range(SMALLEST_SIDE, 1025)  # pixels
NATIVE: Literal["native"] = "native"  # the size that all files have
Size = int | Literal["native"] | None
THREADS = 4  # Pillow decodes and scales outside the interpreter's lock; what they hold together `picture` bounds
CHUNK = 64  # images decoded before they are written
NAMED = 3  # files that a message names

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """A file that was read: SHA-256 (hex) of its content, "" if that could not be had; and what came of it."""

    entry: Entry
    sha256: str
    result: T | BadPicture


class Names:
    """SHA-256 over the names and contents of files, which are added in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, found: Found[T]) -> None:
        fault = "" if found.sha256 else f"\0{found.result}"
        self._digest.update(os.fsencode(f"{found.entry.name}\0{found.sha256}{fault}\n"))

    def hex(self) -> str:
        return self._digest.hexdigest()


@dataclass
class Survey:
    """What the files of a folder are.

    Attributes:
        content: names and contents of all of them.
        usable: of those that can be used.
        n: how many can be used. The next three are of these.
        sizes: the (height, width) in pixels that all have, or those of the smallest and of the largest one.
        grey: how many are stored as grey.
        several: how many hold several frames.
        unread: how many could not be read at all.
    """

    content: Names = field(default_factory=Names)
    usable: Names = field(default_factory=Names)
    n: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    grey: int = 0
    several: int = 0
    unread: int = 0

    @property
    def shorter(self) -> tuple[int, int]:
        """The shorter sides of the smallest and of the largest one, in pixels."""
        return min(self.sizes[0]), min(self.sizes[-1])

    def add_size(self, size: tuple[int, int]) -> None:
        """Of one more: the smallest is that of the shortest side."""
        sizes = [*self.sizes, size]
        least, most = (pick(sizes, key=lambda size: (*sorted(size), size)) for pick in (min, max))
        self.sizes = [least] if least == most else [least, most]


@dataclass
class Converted:
    """What came of the files.

    Attributes:
        sha256: of the array's file.
        shape: (N, C, H, W).
        folders: the subfolder that each image lies in, "" for none.
        strays: the first few images that lie in none.
        deep: how many are stored with 16 bits.
        values: the lowest and the highest value of those, 0 to 65,535.
    """

    sha256: str
    shape: tuple[int, ...]
    folders: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    deep: int = 0
    values: tuple[int, int] = (65535, 0)


def survey(root: Path, files: int, bad: dict[str, str] | None) -> Survey:
    """Read all files but those in `bad`, into which it puts those that cannot be used; they raise where it is None.

    Raises DataError for a bad file, and where none is left.
    """
    seen = Survey()

    def counted(found: Found[Header]) -> Found[Header]:
        seen.content.add(found)
        seen.unread += not found.sha256
        return found

    with closing(_each(examine, root, files, f"{root}: examining {files:,} files", bad)) as each:
        for _, header in _usable(map(counted, each), root, bad, seen.usable):
            seen.n += 1
            seen.add_size(header.size)
            seen.grey += header.grey
            seen.several += header.several_frames
    if not seen.n:
        raise DataError(f"{root}: none of its {files:,} image files can be used: {some(bad or {})}")
    return seen


def convert(
    path: Path, root: Path, seen: Survey, files: int, size: Size, bad: dict[str, str] | None
) -> tuple[Survey, Converted]:
    """Write the images as .npy; returns also the survey of those that could be used.

    Raises DataError for a bad file where `bad` is None, where a file is not what it was in the survey, and for several
    sizes where NATIVE is asked for.
    """
    while True:
        known, usable = len(bad or ()), Names()
        side = None if size == NATIVE else size or min(DEFAULT_SIZE, seen.shorter[0])
        height, width = (side, side) if side else one_size(seen.sizes, root)
        shape = (seen.n, 1 if seen.grey == seen.n else 3, height, width)
        what = f"{root}: converting {seen.n:,} images to {shape[2]}x{shape[3]}"
        decoded = partial(decode, size=side, channels=shape[1])
        with closing(_each(decoded, root, seen.n, what, bad)) as each:
            good = _of_one_size(_usable(each, root, bad, usable), (height, width), root)
            made = _write(path, shape, good)
        if len(bad or ()) == known:
            if usable.hex() != seen.usable.hex():
                raise DataError(changed(root))
            return seen, made
        # Some were bad beyond their header. They must not decide the size or the channels, so it is done again.
        seen = survey(root, files, bad)


def one_size(sizes: Sequence[tuple[int, int]], root: Path) -> tuple[int, int]:
    """The (height, width) that all have. Raises DataError for several, or for one that is too large to keep."""
    if len(sizes) > 1:
        (h, w), (height, width) = sizes
        fault = f"its images are of several sizes, {h}x{w} to {height}x{width}"
    elif max(sizes[0]) not in SIZES:
        fault = (
            f"its images are of {sizes[0][0]}x{sizes[0][1]}, and are taken as they are up to {SIZES[-1]} pixels only"
        )
    else:
        return sizes[0]
    raise DataError(f"{root}: {fault}; pass --size {min(*sizes[0], SIZES[-1])}, for example, to resize them all")


def _of_one_size(
    images: Iterator[tuple[Entry, Decoded]], size: tuple[int, int], root: Path
) -> Iterator[tuple[Entry, Decoded]]:
    """The images, which are of one size by their headers, but may lie on their sides."""
    for entry, image in images:
        _, height, width = image.pixels.shape
        if (height, width) != size:  # turned by EXIF
            one_size([size, (height, width)], root)
        yield entry, image


def changed(root: Path) -> str:
    """The message for a folder that does not hold still."""
    return f"{root} was changed while it was converted; run the command again"


def some(bad: Mapping[str, str]) -> str:
    """The first few bad files, by name, and their faults."""
    names = sorted(bad)
    return ", ".join(f"{name} ({bad[name]})" for name in names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _write(path: Path, shape: tuple[int, ...], images: Iterator[tuple[Entry, Decoded]]) -> Converted:
    """Write the images as the .npy file `path`, hashed on the way."""
    made, digest, header = Converted("", shape), hashlib.sha256(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with path.open("wb") as file:
        for piece in chain([header.getvalue()], _bytes(images, made)):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    made.sha256 = digest.hexdigest()
    return made


def _bytes(images: Iterator[tuple[Entry, Decoded]], made: Converted) -> Iterator[bytes]:
    """The pixels of each, noted in `made`."""
    for entry, (pixels, values) in images:
        folder = entry.name.rpartition("/")[0].partition("/")[0]
        made.folders.append(sys.intern(folder))
        if not folder and len(made.strays) <= NAMED:
            made.strays.append(entry.name)
        if values is not None:
            made.deep += 1
            made.values = min(made.values[0], values[0]), max(made.values[1], values[1])
        yield pixels.tobytes()


def _each(
    parse: Callable[[bytes], T], root: Path, files: int, what: str, bad: dict[str, str] | None
) -> Generator[Found[T], None, None]:
    """Each of so many files, in order, read and parsed by a few threads, but those in `bad`.

    To be closed by who asks for it: left to the garbage collector, it waits for its threads within any other thread,
    for ever if that is one that is just being started.
    """

    def attempt(entry: Entry) -> Found[T]:
        sha256 = ""
        try:
            with content_of(os.path.join(root, entry.name)) as content:  # a Path would intern the names of all files
                sha256 = hashlib.sha256(content).hexdigest()
                return Found(entry, sha256, parse(content))
        except BadPicture as fault:
            # Another, without a traceback: the frames of that hold the content of the file and its pixels.
            return Found(entry, sha256, BadPicture(str(fault)))

    entries = (entry for entry in walk(root) if not bad or entry.name not in bad)
    with ThreadPoolExecutor(THREADS) as pool, progress(what, files) as advance:
        while chunk := list(islice(entries, CHUNK)):  # a chunk at a time, so that results do not pile up
            yield from pool.map(attempt, chunk)
            advance(len(chunk))


def _usable(
    found: Iterator[Found[T]], root: Path, bad: dict[str, str] | None, names: Names
) -> Iterator[tuple[Entry, T]]:
    """Those that are good, added to `names`; the others go into `bad`, or the first raises where that is None."""
    for each in found:
        if not isinstance(each.result, BadPicture):
            names.add(each)
            yield each.entry, each.result
        elif bad is not None:
            bad[each.entry.name] = str(each.result)
        else:
            path = root / each.entry.name
            raise DataError(f"{path}: {each.result}; fix or remove it, or pass --skip-bad") from each.result
