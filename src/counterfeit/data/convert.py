"""Read the files of a tree and convert them to one array: the first pass examines them, the second decodes them."""

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
from typing import Generic, Literal, TypeVar

import numpy as np

from counterfeit.data.image_set import SMALLEST_SIDE
from counterfeit.data.picture import BadPicture, Decoded, Header, decode, examine
from counterfeit.data.tree import Entry, Tree
from counterfeit.errors import DataError
from counterfeit.system.console import progress
from counterfeit.system.sides import LARGEST, sides

DEFAULT_SIZE = 64  # pixels
SIZES = range(SMALLEST_SIDE, LARGEST + 1)  # pixels
NATIVE: Literal["native"] = "native"  # keep the files' own size, which must be the same for all
Size = int | str | None  # a side, "HxW", or NATIVE
THREADS = 4  # Pillow releases the GIL while it decodes and scales; `picture` bounds the memory of all threads together
CHUNK = 64  # images decoded at a time
NAMED = 3  # files named in a message

T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[T]):
    """A file that was read: the SHA-256 (hex) of its content, "" if unreadable; and what was parsed from it."""

    entry: Entry
    sha256: str
    result: T | BadPicture


class Names:
    """SHA-256 over the names and contents of files, which are added in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, found: Found[T]) -> None:
        fault = "" if found.sha256 else f"\0{found.result}"
        label = "" if found.entry.label is None else f"\0label {found.entry.label}"
        self._digest.update(os.fsencode(f"{found.entry.name}\0{found.sha256}{fault}{label}\n"))

    def hex(self) -> str:
        return self._digest.hexdigest()


@dataclass
class Survey:
    """What is known of a folder's files after the first pass.

    Attributes:
        content: names and contents of all files.
        usable: names and contents of the usable files.
        n: number of usable files. The next three are about these.
        sizes: (height, width) in pixels: one if all are the same, else those of the smallest and the largest.
        gray: number of files stored as grayscale.
        several: number of files with several frames.
        unread: number of files that could not be read at all.
    """

    content: Names = field(default_factory=Names)
    usable: Names = field(default_factory=Names)
    n: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    gray: int = 0
    several: int = 0
    unread: int = 0

    @property
    def shorter(self) -> tuple[int, int]:
        """The shorter sides of the smallest and the largest image, in pixels."""
        return min(self.sizes[0]), min(self.sizes[-1])

    def add_size(self, size: tuple[int, int]) -> None:
        """Add the size of one more image; the smallest image is the one with the shortest side."""
        sizes = [*self.sizes, size]
        least, most = (pick(sizes, key=lambda size: (*sorted(size), size)) for pick in (min, max))
        self.sizes = [least] if least == most else [least, most]


@dataclass
class Converted:
    """The result of a conversion.

    Attributes:
        sha256: SHA-256 (hex) of the array's file.
        shape: (N, C, H, W).
        groups: each image's label, or else its subfolder; "" for none.
        strays: names of the first few images without one.
        deep: number of images stored with 16 bits.
        values: lowest and highest value of those, 0 to 65,535.
    """

    sha256: str
    shape: tuple[int, ...]
    groups: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    deep: int = 0
    values: tuple[int, int] = (65535, 0)


def survey(tree: Tree, bad: dict[str, str] | None) -> Survey:
    """Examine all files except those in `bad`, and add unusable ones to `bad`, or raise if it is None.

    Raises DataError for a bad file, or if no usable file is left.
    """
    seen, files = Survey(), tree.count()

    def counted(found: Found[Header]) -> Found[Header]:
        seen.content.add(found)
        seen.unread += not found.sha256
        return found

    with closing(_each(examine, tree, files, f"{tree}: examining {files:,} files", bad)) as each:
        for _, header in _usable(map(counted, each), tree, bad, seen.usable):
            seen.n += 1
            seen.add_size(header.size)
            seen.gray += header.gray
            seen.several += header.several_frames
    if not seen.n:
        raise DataError(f"{tree}: none of its {files:,} image files can be used: {some(bad or {})}")
    return seen


def convert(path: Path, tree: Tree, seen: Survey, size: Size, bad: dict[str, str] | None) -> tuple[Survey, Converted]:
    """Write the images as an .npy file; also return the survey of the files that were used.

    Raises DataError for a bad file if `bad` is None, for a file that has changed since the survey, and for several
    sizes if NATIVE is requested.
    """
    while True:
        known, usable = len(bad or ()), Names()
        wanted = None if size == NATIVE else sides(size or min(DEFAULT_SIZE, seen.shorter[0]))
        height, width = wanted or one_size(seen.sizes, tree)
        shape = (seen.n, 1 if seen.gray == seen.n else 3, height, width)
        what = f"{tree}: converting {seen.n:,} images to {shape[2]}x{shape[3]}"
        decoded = partial(decode, size=wanted, channels=shape[1])
        with closing(_each(decoded, tree, seen.n, what, bad)) as each:
            good = _of_one_size(_usable(each, tree, bad, usable), (height, width), tree)
            made = _write(path, shape, good)
        if len(bad or ()) == known:
            if usable.hex() != seen.usable.hex():
                raise DataError(changed(tree))
            return seen, made
        # Some files turned out to be bad only when decoded. They must not determine the size or the channels, so start
        # again.
        seen = survey(tree, bad)


def one_size(sizes: Sequence[tuple[int, int]], tree: Tree) -> tuple[int, int]:
    """The common (height, width) of all images. Raises DataError if sizes differ or are out of range."""
    if len(sizes) > 1:
        (h, w), (height, width) = sizes
        fault = f"its images are of several sizes, {h}x{w} to {height}x{width}"
    elif max(sizes[0]) not in SIZES:
        fault = (
            f"its images are of {sizes[0][0]}x{sizes[0][1]}, and are taken as they are up to {SIZES[-1]} pixels only"
        )
    else:
        return sizes[0]
    raise DataError(f"{tree}: {fault}; pass --size {min(*sizes[0], SIZES[-1])}, for example, to resize them all")


def _of_one_size(
    images: Iterator[tuple[Entry, Decoded]], size: tuple[int, int], tree: Tree
) -> Iterator[tuple[Entry, Decoded]]:
    """Check the images, whose headers have one size, again after decoding: some may have been rotated."""
    for entry, image in images:
        _, height, width = image.pixels.shape
        if (height, width) != size:  # rotated according to EXIF
            one_size([size, (height, width)], tree)
        yield entry, image


def changed(tree: Tree) -> str:
    """The message for a folder that changes during conversion."""
    return f"{tree} was changed while it was converted; run the command again"


def some(bad: Mapping[str, str]) -> str:
    """The names of the first few bad files, with their faults."""
    names = sorted(bad)
    return ", ".join(f"{name} ({bad[name]})" for name in names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _write(path: Path, shape: tuple[int, ...], images: Iterator[tuple[Entry, Decoded]]) -> Converted:
    """Write the images to the .npy file `path`, and hash it while writing."""
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
    """The pixels of each image; updates `made`."""
    for entry, (pixels, values) in images:
        group = entry.folder if entry.label is None else entry.label
        made.groups.append(sys.intern(group))
        if not group and len(made.strays) <= NAMED:
            made.strays.append(entry.name)
        if values is not None:
            made.deep += 1
            made.values = min(made.values[0], values[0]), max(made.values[1], values[1])
        yield pixels.tobytes()


def _each(
    parse: Callable[[bytes], T], tree: Tree, files: int, what: str, bad: dict[str, str] | None
) -> Generator[Found[T], None, None]:
    """Read and parse the files, except those in `bad`, in order, with a few threads.

    The caller must close this generator. The garbage collector would close it within any thread and wait there for the
    pool, forever if that thread is just being started.
    """

    def attempt(entry: Entry) -> Found[T]:
        sha256 = ""
        try:
            with tree.content(entry) as content:
                sha256 = hashlib.sha256(content).hexdigest()
                return Found(entry, sha256, parse(content))
        except BadPicture as fault:
            # A new exception, without a traceback: its frames would keep the file's content and pixels in memory.
            return Found(entry, sha256, BadPicture(str(fault)))

    entries = (entry for entry in tree.entries() if not bad or entry.name not in bad)
    with ThreadPoolExecutor(THREADS) as pool, progress(what, files) as advance:
        while chunk := list(islice(entries, CHUNK)):  # chunk by chunk, so that results do not pile up
            yield from pool.map(attempt, chunk)
            advance(len(chunk))


def _usable(
    found: Iterator[Found[T]], tree: Tree, bad: dict[str, str] | None, names: Names
) -> Iterator[tuple[Entry, T]]:
    """Yield the usable files and add them to `names`; the others go into `bad`, or the first raises if it is None."""
    for each in found:
        if not isinstance(each.result, BadPicture):
            names.add(each)
            yield each.entry, each.result
        elif bad is not None:
            bad[each.entry.name] = str(each.result)
        else:
            where = tree.path(each.entry)
            raise DataError(f"{where}: {each.result}; fix or remove it, or pass --skip-bad") from each.result
