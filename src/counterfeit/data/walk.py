"""The image files below a folder, in order, and the fingerprint by which an unchanged folder is known again.

No list of the files is made, so that a folder of a million images is possible in a laptop's memory: every pass walks
the tree again, which takes seconds where reading the files takes minutes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from counterfeit.data.picture import EXTENSIONS
from counterfeit.data.place import refuse_run_below
from counterfeit.errors import DataError
from counterfeit.files import Stamp, stamp

# Nanoseconds within which a file can be changed twice and keep its change time: a tick of the kernel's clock, mostly
# 4 ms, and up to 2 s where a file system rounds its times.
TICK = 2_000_000_000


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
    """

    fingerprint: str
    files: int
    changed_ns: int

    def vouches_since(self, time_ns: int) -> bool:
        """Whether a file that is changed after this time is sure to change the fingerprint.

        It is not if a file was changed a moment before: a second change within the same tick of the file system's
        clock leaves the stamp as it is. (git calls such an entry racy, and reads the file again.)
        """
        return self.changed_ns + TICK < time_ns


def glance(root: Path, settings: str) -> Glance:
    """One look at each file below `root`. Raises DataError if there is none, or a folder that cannot be read."""
    digest = hashlib.sha256(settings.encode())
    files, changed = 0, 0
    for name, found in walk(root):
        digest.update(os.fsencode(f"\0{name}\0{found}"))
        files, changed = files + 1, max(changed, found[4])
    if not files:
        raise DataError(f"{root} has no images; they are files ending in {' '.join(sorted(EXTENSIONS))}")
    return Glance(digest.hexdigest(), files, changed)


def walk(root: Path) -> Iterator[Entry]:
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
                    yield Entry(prefix + name, stamp(os.stat(path)))
                except OSError:  # a link to nothing or to itself: a bad file like others, named when it is read
                    yield Entry(prefix + name, (0, 0, 0, 0, 0))

    return below(str(root), "")


def _is_folder(found: os.DirEntry[str]) -> bool:
    try:
        return found.is_dir()
    except OSError:  # a link to itself
        return False
