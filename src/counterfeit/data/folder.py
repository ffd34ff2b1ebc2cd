"""A folder of images as a data set: converted once into one uint8 array in the cache, memory-mapped ever after."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np

from counterfeit.console import progress, say
from counterfeit.data.cache import cache_dir, locked
from counterfeit.data.image_set import SMALLEST_SIDE, ImageSet, content_digest
from counterfeit.data.picture import EXTENSIONS, BadPicture, decode, examine
from counterfeit.errors import DataError, InputError

VERSION = 1  # of the conversion: a change of what comes out of the same files needs a new number
SIZES = range(SMALLEST_SIDE, 1025)  # pixels
DEFAULT_SIZE = 64
THREADS = 4  # Pillow decodes and scales outside the interpreter's lock; each holds one full-size image
CHUNK = 64  # images decoded before they are written

DAMAGED = (OSError, ValueError, EOFError)  # what reading from the cache raises, FileNotFoundError included

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """An image file: its path below the folder, with "/", and what shows that it was changed."""

    name: str
    bytes: int
    mtime_ns: int


def load_folder(root: Path, *, size: int | None = None, skip_bad: bool = False) -> ImageSet:
    """Every image below `root`, each the centred square scaled to `size`, in the order of their paths.

    The files may be nested as they please, of mixed sizes and modes. Hidden files, and those without an image's
    extension, are ignored. The images are grey when all files are, else RGB. Where every image lies in one of at
    least two subfolders of `root`, those are the classes. The result is cached; a change of any file's name, size or
    time makes a new one.

    Args:
        size: height and width in pixels, 8 to 1024; by default 64, or the smallest image's shorter
            side if that is less.
        skip_bad: leave out, and name, the files that cannot be used, instead of refusing the folder.

    Raises:
        InputError: `size` out of range.
        DataError: no images, or a bad one: damaged, empty, a shorter side under 8 pixels, a longer side over 8 times
            the shorter, more than 89 million pixels, or pixels of unknown range.
    """
    if size is not None and (not isinstance(size, int) or size not in SIZES):
        raise InputError(f"size is {size}; it is a whole number of pixels, {SIZES[0]} to {SIZES[-1]}")
    entries = _scan(root)
    made = cache_dir() / "folders" / _key(entries, size, skip_bad)
    try:
        return _open(made, root)
    except DAMAGED:
        pass  # looked at again under the lock: another process may be making it
    with locked(made.with_suffix(".lock"), str(root)):
        try:
            return _open(made, root)
        except FileNotFoundError:
            pass
        except DAMAGED as error:
            say(f"{made} is damaged ({error}); making it again")
        shutil.rmtree(made, ignore_errors=True)
        _make(made, root, entries, size, skip_bad)
        return _open(made, root)


def _scan(root: Path) -> list[Entry]:
    """All image files below `root`, sorted by name. Follows links to folders, each folder once."""
    entries, seen = [], set()

    def refuse(error: OSError) -> NoReturn:
        raise DataError(f"{error.filename}: {error.strerror}; make it readable or move it out of {root}") from error

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=refuse):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:  # a link back up, or to a folder that was walked already
            subfolders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for file in files:
            if file.startswith(".") or os.path.splitext(file)[1].lower() not in EXTENSIONS:
                continue
            path = os.path.join(folder, file)
            name = os.path.relpath(path, root).replace(os.sep, "/")
            try:
                found = os.stat(path)
                entries.append(Entry(name, found.st_size, found.st_mtime_ns))
            except OSError:  # a link to nothing or to itself: a bad file like others, named when it is examined
                entries.append(Entry(name, 0, 0))
    if not entries:
        raise DataError(f"{root} has no images; they are files ending in {' '.join(sorted(EXTENSIONS))}")
    return sorted(entries, key=lambda entry: entry.name)


def _key(entries: list[Entry], size: int | None, skip_bad: bool) -> str:
    facts = [VERSION, size, skip_bad, [(entry.name, entry.bytes, entry.mtime_ns) for entry in entries]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _open(made: Path, root: Path) -> ImageSet:
    """The data set in the cache. Raises one of DAMAGED."""
    about = json.loads((made / "about.json").read_text(encoding="utf-8"))
    images = np.load(made / "images.npy", mmap_mode="r")
    labels = np.load(made / "labels.npy") if about["classes"] else None
    if about["left_out"]:
        say(f"{root}: bad files left out: {len(about['left_out']):,}: {_some(about['left_out'])}")
    return ImageSet(str(root), "train", images, labels, tuple(about["classes"]), about["digest"])


def _some(bad: dict[str, str]) -> str:
    """The first few bad files, by name, and their faults."""
    names = sorted(bad)
    return ", ".join(f"{name} ({bad[name]})" for name in names[:3]) + (", …" if len(names) > 3 else "")


def _make(made: Path, root: Path, entries: list[Entry], size: int | None, skip_bad: bool) -> None:
    """Convert the files and put the result, complete, at `made`."""
    work = made.with_suffix(".making")
    shutil.rmtree(work, ignore_errors=True)  # left by a process that was killed
    work.mkdir()
    bad: dict[str, str] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's: on metadata, and on sizes that `examine` refuses by itself
            good, several = _convert(work / "images.npy", root, entries, size, bad if skip_bad else None)
        images = np.load(work / "images.npy", mmap_mode="r")
        labels, classes = _labels(good)
        if labels is not None:
            np.save(work / "labels.npy", labels)
        about = {"digest": content_digest(images, labels), "classes": classes, "left_out": bad}
        (work / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        os.replace(work, made)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    n, channels, height, width = images.shape
    kind = f"{height}x{width} {'grey' if channels == 1 else 'RGB'}"
    names = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
    say(f"{root}: {n:,} images, {kind}, {f'{len(classes):,} classes: {names}' if classes else 'no classes'}")
    if several:
        say(f"{root}: files that hold several frames: {several:,}; the first frame of each is used")


def _convert(
    path: Path, root: Path, entries: list[Entry], size: int | None, bad: dict[str, str] | None
) -> tuple[list[Entry], int]:
    """Write the images as .npy; returns their entries and how many files hold several frames."""
    headers = dict(_each(examine, root, entries, f"{root}: examining {len(entries):,} files", bad))
    while True:
        good = [entry for entry in headers if not bad or entry.name not in bad]
        if not good:
            raise DataError(f"{root}: none of its {len(entries):,} image files can be used: {_some(bad or {})}")
        side = size or min(DEFAULT_SIZE, *(headers[entry].side for entry in good))
        channels = 1 if all(headers[entry].grey for entry in good) else 3
        what = f"{root}: converting {len(good):,} images to {side}x{side}"
        with path.open("wb") as file:
            shape = (len(good), channels, side, side)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            written = 0
            for _, image in _each(partial(decode, size=side, channels=channels), root, good, what, bad):
                file.write(image.tobytes())
                written += 1
            file.flush()
            os.fsync(file.fileno())
        if written == len(good):
            return good, sum(headers[entry].several_frames for entry in good)
        # Some were bad beyond their header. They must not decide the size or the channels, so it is done anew.


def _each(
    read: Callable[[Path], T], root: Path, entries: list[Entry], what: str, bad: dict[str, str] | None
) -> Iterator[tuple[Entry, T]]:
    """(entry, read(path)) in order, read by a few threads. A bad file goes into `bad`, or raises where that is None."""

    def attempt(entry: Entry) -> T | BadPicture:
        try:
            return read(root / entry.name)
        except BadPicture as fault:
            return fault

    with ThreadPoolExecutor(THREADS) as pool, progress(what, len(entries)) as advance:
        for start in range(0, len(entries), CHUNK):  # a chunk at a time, so that results do not pile up
            chunk = entries[start : start + CHUNK]
            for entry, result in zip(chunk, pool.map(attempt, chunk), strict=True):
                if not isinstance(result, BadPicture):
                    yield entry, result
                elif bad is not None:
                    bad[entry.name] = str(result)
                else:
                    path = root / entry.name
                    raise DataError(f"{path}: {result}; mend or remove it, or pass --skip-bad") from result
            advance(len(chunk))


def _labels(entries: list[Entry]) -> tuple[np.ndarray | None, list[str]]:
    """int64 (N,) labels and the classes, the subfolders' names; (None, []) where the folder has no such form."""
    first = [entry.name.split("/")[0] for entry in entries if "/" in entry.name]
    classes = sorted(set(first))
    if len(first) < len(entries) or len(classes) < 2:
        return None, []
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[name] for name in first], np.int64), classes
