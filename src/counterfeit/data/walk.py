"""The image files below a folder, in order, and the fingerprint by which an unchanged folder is known again.

No list of the files is made, so that a folder of a million images is possible in a laptop's memory: every pass walks
the tree again, which takes seconds where reading the files takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from counterfeit.data.picture import EXTENSIONS
from counterfeit.data.place import refuse_run_below
from counterfeit.errors import DataError
from counterfeit.system.files import Stamp, stamp
from counterfeit.system.words import first_few

# Nanoseconds within which a file can be changed twice and keep its change time: a tick of the kernel's clock, mostly
# 4 ms, and up to 2 s where a file system rounds its times.
TICK = 2_000_000_000
ENDING = re.compile(
    r"\.(?=.*[a-z])[a-z0-9]{1,5}"
)  # one that says a format; "a.000017" and "b.backup-of-mine" have none
LONGEST_SHOWN = 200  # characters of a path


class Entry(NamedTuple):
    """An image file: its path below the folder, with "/", and its stamp."""

    name: str
    stamp: Stamp


@dataclass(frozen=True)
class Glance:
    """What a folder is seen to be without reading a file.

    Attributes:
        fingerprint: SHA-256 (hex) of the settings and of every file's name and stamp.
        files: how many image files there are.
        changed_ns: when the last of them was changed, by the file system's clock.
        left_out: how many other files there are, by their endings; neither in the fingerprint nor
            compared, for nobody reads them.
    """

    fingerprint: str
    files: int
    changed_ns: int
    left_out: Mapping[str, int] = field(default_factory=dict, compare=False)

    def vouches_since(self, time_ns: int) -> bool:
        """Whether a file that is changed after this time is sure to change the fingerprint.

        It is not if a file was changed a moment before: a second change within the same tick of the file system's
        clock leaves the stamp as it is. (git calls such an entry racy, and reads the file again.)
        """
        return self.changed_ns + TICK < time_ns


def glance(root: Path, settings: str) -> Glance:
    """One look at each file below `root`. Raises DataError if there is none, or a folder that cannot be read."""
    digest = hashlib.sha256(settings.encode())
    files, changed, left_out = 0, 0, Counter[str]()
    for name, found in walk(root, left_out):
        digest.update(os.fsencode(f"\0{name}\0{found}"))
        files, changed = files + 1, max(changed, found[4])
    if not files:
        there = f"; it has {endings(left_out)}" if left_out else ""
        raise DataError(f"{root} has no images; they are files ending in {' '.join(sorted(EXTENSIONS))}{there}")
    return Glance(digest.hexdigest(), files, changed, dict(left_out))


def endings(left_out: Mapping[str, int]) -> str:
    """`12 .heic, 1 .txt`: how many files have which ending, the most frequent first."""
    counts = sorted(left_out.items(), key=lambda each: (-each[1], each[0]))
    return first_few([f"{count:,} {ending}" for ending, count in counts], 5)


def walk(root: Path, left_out: Counter[str] | None = None) -> Iterator[Entry]:
    """All image files below `root` in the order of their names. Follows links to folders, each folder once.

    One folder's names are held at a time, and those of the folders that it lies in, of which there may be thousands.
    Files that are no images by their ending are counted in `left_out`, by the ending.
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
            except OSError:  # a link to nothing or to itself: a bad file like others, named when it is read
                yield Entry(prefix + name, (0, 0, 0, 0, 0))
        elif left_out is not None:
            left_out[ending if ENDING.fullmatch(ending) else "without a known ending"] += 1


def _names(folder: str, root: Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    """The names in a folder, sorted, those of folders with "/" at the end, as that of a file in it goes on.

    None of hidden files, nor of a folder that was `seen`: a link back up, or to a folder that was walked already.
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
