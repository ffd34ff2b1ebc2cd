"""Walk the image files below a folder in order, and compute a fingerprint by which an unchanged folder is recognized.

No list of files is made, so that a folder of a million images fits into a laptop's memory. Each pass walks the tree
again, which takes seconds, while reading the files takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from counterfeit.data.picture import EXTENSIONS
from counterfeit.data.place import refuse_run_below
from counterfeit.errors import DataError
from counterfeit.system.files import Stamp, stamp
from counterfeit.system.text import reason
from counterfeit.system.words import first_few

# Nanoseconds within which a file can change twice and keep its change time: a tick of the kernel's clock, usually 4 ms,
# and up to 2 s on file systems that round times.
TICK = 2_000_000_000
# An extension that names a format, unlike those of "a.000017" and "b.backup-of-mine".
ENDING = re.compile(r"\.(?=.*[a-z])[a-z0-9]{1,5}")
LONGEST_SHOWN = 200  # characters of a path shown in a message


class Entry(NamedTuple):
    """An image file: its path below the folder, with "/" as separator, and its stamp."""

    name: str
    stamp: Stamp


@dataclass(frozen=True)
class Glance:
    """What is known of a folder without reading its files.

    Attributes:
        fingerprint: SHA-256 (hex) of the settings and of every file's name and stamp.
        files: number of image files.
        changed_ns: when the last of them changed, in nanoseconds by the file system's clock.
        left_out: number of other files by extension; not part of the fingerprint or of comparisons, since they are
            never read.
    """

    fingerprint: str
    files: int
    changed_ns: int
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)

    def vouches_since(self, time_ns: int) -> bool:
        """Whether any file that changes after this time is certain to change the fingerprint.

        This is not so if a file changed just before: a second change within the same tick of the file system's clock
        leaves the stamp as it is. (git calls such an entry racy, and reads the file again.)
        """
        return self.changed_ns + TICK < time_ns


def glance(root: Path, settings: str) -> Glance:
    """Look at each file below `root` once. Raises DataError if there are none, or a folder cannot be read."""
    digest = hashlib.sha256(settings.encode())
    files, changed, left_out = 0, 0, Counter[str]()
    for name, found in walk(root, left_out):
        digest.update(os.fsencode(f"\0{name}\0{found}"))
        files, changed = files + 1, max(changed, found[4])
    if not files:
        there = f"; it has {endings(left_out)}" if left_out else ""
        raise DataError(f"{root} has no images; they are files ending in {' '.join(sorted(EXTENSIONS))}{there}")
    return Glance(digest.hexdigest(), files, changed, dict(left_out))


def skipped(left_out: Mapping[str, int]) -> str:
    """A message about files that are left out, by extension."""
    return f"skipped files with other endings than those of images: {endings(left_out)}"


def endings(left_out: Mapping[str, int]) -> str:
    """`12 .heic, 1 .txt`: the number of files with each extension, the most frequent first."""
    counts = sorted(left_out.items(), key=lambda each: (-each[1], each[0]))
    return first_few([f"{count:,} {ending}" for ending, count in counts], 5)


def walk(root: Path, left_out: Counter[str] | None = None) -> Iterator[Entry]:
    """Yield all image files below `root` in the order of their names. Follows links to folders, each folder once.

    Only the names in one folder and its parent folders are in memory at a time; the nesting may be thousands deep.
    Files that are not images by their extension are counted in `left_out`, by extension.
    """
    seen: set[tuple[int, int]] = set()
    path, prefix = str(root), ""
    waiting: list[tuple[str, str, Iterator[str]]] = [(path, prefix, _names(path, root, seen))]
    while waiting:
        folder, prefix, names = waiting[-1]
        name = next(names, None)
        if name is None:
            waiting.pop()
            continue
        path = os.path.join(folder, name)
        if name[-1] == "/":
            waiting.append((path[:-1], prefix + name, _names(path[:-1], root, seen)))
        elif (ending := os.path.splitext(name)[1].lower()) in EXTENSIONS:
            try:
                yield Entry(prefix + name, stamp(os.stat(path)))
            except OSError:  # a link to nothing or to itself: a bad file, reported when it is read
                yield Entry(prefix + name, (0, 0, 0, 0, 0))
        elif left_out is not None:
            left_out[kind_of(ending)] += 1


def file_stamp(path: Path) -> Stamp:
    """The stamp of a file that holds many images. Raises DataError if it is none, or cannot be read."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({reason(error)})") from error
    if not stat.S_ISREG(found.st_mode):  # reading from a pipe would wait
        raise DataError(f"{path} is a pipe, socket or device and not a file; save its content as a file")
    return stamp(found)


def kind_of(ending: str) -> str:
    """The extension of a file that is left out, in lower case, if it names a format."""
    return ending if ENDING.fullmatch(ending) else "without a known ending"


def _names(folder: str, root: Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    """The sorted names in a folder; folder names end with "/", to sort as the paths of the files in them do.

    Hidden files are left out. Empty for a folder in `seen`: a link to a parent folder, or to one already walked.
    """
    try:
        here = os.stat(folder)
        with os.scandir(folder) as found:
            names = [f"{each.name}/" if _is_folder(each) else each.name for each in found if each.name[0] != "."]
    except OSError as error:
        shown = folder if len(folder) <= LONGEST_SHOWN else f"{folder[:LONGEST_SHOWN]}…"
        raise DataError(f"{shown}: {error.strerror}; make it readable or move it out of {root}") from error
    refuse_run_below(folder, names, root)
    if (here.st_dev, here.st_ino) in seen:
        return iter(())
    seen.add((here.st_dev, here.st_ino))
    return iter(sorted(names))


def _is_folder(found: os.DirEntry[str]) -> bool:
    try:
        return found.is_dir()
    except OSError:  # a link to itself
        return False
