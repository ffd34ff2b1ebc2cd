"""A folder of images as a data set: converted once into one uint8 array in the cache, memory-mapped ever after.

A folder of a million images has to be possible in a laptop's memory, so that no list of the files is kept: every pass
walks the tree anew, which takes seconds where reading the files takes minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from counterfeit.console import progress, say
from counterfeit.data.cache import cache_dir, locked
from counterfeit.data.image_set import SMALLEST_SIDE, ImageSet, content_digest
from counterfeit.data.picture import EXTENSIONS, BadPicture, decode, examine
from counterfeit.data.place import refuse_run_below
from counterfeit.errors import DataError, InputError

VERSION = 1  # of the conversion: a change of what comes out of the same files needs a new number
SIZES = range(SMALLEST_SIDE, 1025)  # pixels
DEFAULT_SIZE = 64
THREADS = 4  # Pillow decodes and scales outside the interpreter's lock; each holds one full-size image
CHUNK = 64  # images decoded before they are written

DAMAGED = (OSError, ValueError, EOFError)  # what reading from the cache raises, FileNotFoundError included

T = TypeVar("T")


class Entry(NamedTuple):
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
    key, files = _key(root, size, skip_bad)
    made = cache_dir() / "folders" / key
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
        _make(made, root, files, size, skip_bad)
        return _open(made, root)


def _walk(root: Path) -> Iterator[Entry]:
    """All image files below `root` in the order of their names. Follows links to folders, each folder once.

    One folder's names are held at a time, and those of the folders that it lies in.
    """
    seen: set[tuple[int, int]] = set()

    def below(folder: str, prefix: str) -> Iterator[Entry]:
        try:
            here = os.stat(folder)
            with os.scandir(folder) as found:  # a folder's name ends with "/", as that of a file in it goes on
                names = [f"{each.name}/" if _is_folder(each) else each.name for each in found if each.name[0] != "."]
        except OSError as error:
            raise DataError(f"{folder}: {error.strerror}; make it readable or move it out of {root}") from error
        refuse_run_below(folder, names, root)
        if (here.st_dev, here.st_ino) in seen:  # a link back up, or to a folder that was walked already
            return
        seen.add((here.st_dev, here.st_ino))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name[-1] == "/":
                yield from below(path[:-1], prefix + name)
            elif os.path.splitext(name)[1].lower() in EXTENSIONS:
                try:
                    file = os.stat(path)
                    yield Entry(prefix + name, file.st_size, file.st_mtime_ns)
                except OSError:  # a link to nothing or to itself: a bad file like others, named when it is examined
                    yield Entry(prefix + name, 0, 0)

    return below(str(root), "")


def _is_folder(found: os.DirEntry[str]) -> bool:
    try:
        return found.is_dir()
    except OSError:  # a link to itself
        return False


def _key(root: Path, size: int | None, skip_bad: bool) -> tuple[str, int]:
    """What the conversion is kept under, and how many image files there are. DataError where there are none."""
    digest = hashlib.sha256(json.dumps([VERSION, size, skip_bad]).encode())
    files = 0
    for entry in _walk(root):
        digest.update(json.dumps(entry).encode())
        files += 1
    if not files:
        raise DataError(f"{root} has no images; they are files ending in {' '.join(sorted(EXTENSIONS))}")
    return digest.hexdigest()[:32], files


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


def _make(made: Path, root: Path, files: int, size: int | None, skip_bad: bool) -> None:
    """Convert the files and put the result, complete, at `made`."""
    work = made.with_suffix(".making")
    shutil.rmtree(work, ignore_errors=True)  # left by a process that was killed
    work.mkdir()
    bad: dict[str, str] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's: on metadata, and on sizes that `examine` refuses by itself
            folders, several = _convert(work / "images.npy", root, files, size, bad if skip_bad else None)
        if _key(root, size, skip_bad) != (made.name, files):
            raise DataError(f"{root} was changed while it was converted; run the command again")
        images = np.load(work / "images.npy", mmap_mode="r")
        labels, classes = _labels(folders)
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


def _convert(path: Path, root: Path, files: int, size: int | None, bad: dict[str, str] | None) -> tuple[list[str], int]:
    """Write the images as .npy; returns the subfolder of `root` that each lies in, "" for none, and how many files
    hold several frames."""
    while True:
        good, least, grey, several = 0, DEFAULT_SIZE, True, 0
        for _, header in _each(examine, root, files, f"{root}: examining {files:,} files", bad):
            good, least, grey = good + 1, min(least, header.side), grey and header.grey
            several += header.several_frames
        if not good:
            raise DataError(f"{root}: none of its {files:,} image files can be used: {_some(bad or {})}")
        side, channels, known = size or least, 1 if grey else 3, len(bad or ())
        what = f"{root}: converting {good:,} images to {side}x{side}"
        folders = []
        with path.open("wb") as file:
            shape = (good, channels, side, side)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for entry, image in _each(partial(decode, size=side, channels=channels), root, good, what, bad):
                file.write(image.tobytes())
                folders.append(sys.intern(entry.name.rpartition("/")[0].partition("/")[0]))
            file.flush()
            os.fsync(file.fileno())
        if len(bad or ()) == known:
            return folders, several
        # Some were bad beyond their header. They must not decide the size or the channels, so it is done anew.


def _each(
    read: Callable[[Path], T], root: Path, files: int, what: str, bad: dict[str, str] | None
) -> Iterator[tuple[Entry, T]]:
    """(entry, read(path)) of each of so many files, in order, read by a few threads, but of those in `bad`.

    A bad file goes into `bad` too, or raises where that is None.
    """

    def attempt(entry: Entry) -> T | BadPicture:
        try:
            return read(root / entry.name)
        except BadPicture as fault:
            return fault

    entries = (entry for entry in _walk(root) if not bad or entry.name not in bad)
    with ThreadPoolExecutor(THREADS) as pool, progress(what, files) as advance:
        while chunk := list(islice(entries, CHUNK)):  # a chunk at a time, so that results do not pile up
            for entry, result in zip(chunk, pool.map(attempt, chunk), strict=True):
                if not isinstance(result, BadPicture):
                    yield entry, result
                elif bad is not None:
                    bad[entry.name] = str(result)
                else:
                    path = root / entry.name
                    raise DataError(f"{path}: {result}; mend or remove it, or pass --skip-bad") from result
            advance(len(chunk))


def _labels(folders: list[str]) -> tuple[np.ndarray | None, list[str]]:
    """int64 (N,) labels and the classes, the subfolders' names; (None, []) where the folder has no such form."""
    classes = sorted(set(folders))
    if "" in classes or len(classes) < 2:
        return None, []
    numbers = {name: number for number, name in enumerate(classes)}
    return np.fromiter((numbers[name] for name in folders), np.int64, len(folders)), classes
