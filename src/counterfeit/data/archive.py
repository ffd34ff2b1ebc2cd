"""Image files in .zip and .tar archives, and in WebDataset's shards, read from there without unpacking them."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from counterfeit.data.cache import cache_dir, sealed, stand_in, unsealed
from counterfeit.data.members import SECRET, Member, Members, Packed
from counterfeit.data.picture import EXTENSIONS, BadPicture
from counterfeit.data.samples import Labels
from counterfeit.data.splits import among
from counterfeit.data.tar_members import tar_members, unpacked
from counterfeit.data.tree import Entry, Tree
from counterfeit.data.walk import TICK, Glance, file_stamp, kind_of, skipped
from counterfeit.data.zip_members import zip_members, zip_offset
from counterfeit.errors import DataError
from counterfeit.system import reading
from counterfeit.system.console import say
from counterfeit.system.files import write_atomic
from counterfeit.system.text import reason

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MOST_MEMBERS = 1 << 22  # files in an archive: half a GiB of names and places, or of labels
MOST_LAYOUT = 1 << 20  # bytes of a stored layout


class Layout(NamedTuple):
    """How an archive is arranged.

    Attributes:
        top: the folder that holds everything, with "/" at its end, or "".
        splits: the folders of train and test below it, by split; {} for one split.
    """

    top: str
    splits: dict[str, str]


def archive_trees(path: Path, shown: str) -> dict[str, Tree]:
    """The trees of the splits in an archive: train and test, or train alone. Raises DataError if it cannot be read."""
    layout = _layout(path, shown)
    if not layout.splits:
        return {"train": Archive([path], shown, path.name, layout.top)}
    return {
        split: Archive([path], f"{shown}/{folder}", folder, f"{layout.top}{folder}/")
        for split, folder in layout.splits.items()
    }


class Listed(NamedTuple):
    """An archive whose image files are listed, and their labels, as far as it has some."""

    path: Path
    packed: Packed
    members: Members
    labels: Labels


class Archive(Tree):
    """The image files below a folder of an archive, or in several archives, one after the other.

    Attributes:
        top: that folder, with "/" at its end; "" for all.
    """

    def __init__(self, paths: Sequence[Path], shown: str, name: str, top: str = "") -> None:
        super().__init__(shown, name)
        self._paths, self.top = list(paths), top
        self._open: list[Listed] = []

    def glance(self, settings: str) -> Glance:
        stamps = [file_stamp(path) for path in self._paths]
        digest = hashlib.sha256(os.fsencode(f"{settings}\0archive\0{self.top}\0{stamps}"))
        return Glance(digest.hexdigest(), 0, max(each[4] for each in stamps))

    def count(self) -> int:
        n = sum(len(each.members) for each in self._listed())
        if not n:
            raise DataError(no_images(self.shown))
        return n

    def entries(self) -> Iterator[Entry]:
        for each in self._listed():
            each.labels.begin()
            members = each.members
            order = sorted(range(len(members)), key=lambda i: members[i].name)
            for i, following in zip(order, [*order[1:], None], strict=True):
                name = members[i].name
                if following is None or members[following].name != name:  # of several of one name, the last is unpacked
                    yield self._entry(each, name, i)

    @contextmanager
    def content(self, entry: Entry) -> Iterator[bytes]:
        (path, packed, members, _), i = entry.at
        member = members[i]
        try:
            offset = zip_offset(packed, member) if _is_zip(path) else member.offset
            with packed.content(member, offset) as content:
                yield content
        except OSError as error:
            raise BadPicture(reason(error)) from error

    def path(self, entry: Entry) -> str:
        return f"{self}: {entry.name}"

    def close(self) -> None:
        for each in self._open:
            each.packed.close()
        self._open = []

    def _entry(self, each: Listed, name: str, i: int) -> Entry:
        found = Entry(name.removeprefix(self.top), each.labels.of(name), (each, i))
        if len(self._paths) == 1:
            return found
        return Entry(f"{each.path.name}/{name}", found.folder if found.label is None else found.label, found.at)

    def _listed(self) -> list[Listed]:
        """The archives, opened and listed at the first call."""
        left_out = Counter[str]()
        for path in self._paths[len(self._open) :]:
            self._open.append(Listed(path, _opened(path, self._named(path)), Members(), Labels(self._named(path))))
            _, packed, members, labels = self._open[-1]
            for member in _images(packed, path, self._named(path), left_out, labels):
                if member.name.startswith(self.top):
                    members.add(member)
        if left_out:
            say(f"{self}: {skipped(left_out)}")
        return self._open

    def _named(self, path: Path) -> str:
        return self.shown if len(self._paths) == 1 else str(path)


def no_images(shown: str, left_out: Counter[str] | None = None) -> str:
    """The message about an archive without image files."""
    there = f"; {skipped(left_out)}" if left_out else ""
    return f"{shown} has no images; they are files ending in {' '.join(sorted(EXTENSIONS))}{there}"


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _opened(path: Path, shown: str) -> Packed:
    """The archive; a .tar.gz is unpacked to a temporary file, since it can only be read from its beginning."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if not zipped or _is_zip(path):
            return Packed(path)
        home = cache_dir()
        if not os.access(home if home.exists() else home.parent, os.W_OK):
            home = stand_in()
        return Packed(path, unpacked(path, shown, home))
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({reason(error)})") from error


def _images(
    packed: Packed, path: Path, shown: str, left_out: Counter[str], labels: Labels | None = None
) -> Iterator[Member]:
    """The image files in an archive, by paths that lead nowhere else.

    The labels in a .tar are added to `labels`, and other files are counted in `left_out`.
    """
    for number, member in enumerate((zip_members if _is_zip(path) else tar_members)(packed, shown)):
        if number == MOST_MEMBERS:
            raise DataError(f"{shown} holds more than {MOST_MEMBERS:,} files; split it into several")
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts or member.name.startswith("/") or re.match("[A-Za-z]:", member.name):
            raise DataError(f"{shown} holds {member.name!r}, a path out of the archive; pack it again from its folder")
        if any(part[0] == "." for part in parts):
            continue
        ending = os.path.splitext(parts[-1])[1].lower() if parts else ""
        if ending not in EXTENSIONS:
            named = member._replace(name="/".join(parts))
            if labels is None or _is_zip(path) or not labels.take(named, packed):
                left_out[kind_of(ending)] += 1
        elif CONTROL.search(member.name):
            raise DataError(f"{shown} holds {member.name!r}, whose name has a control character; rename it")
        elif member.method == SECRET:
            raise DataError(f"{shown} is encrypted; unpack it with its password, and pass the folder")
        else:
            yield member._replace(name="/".join(parts))


def _layout(path: Path, shown: str) -> Layout:
    """How an archive is arranged, kept in the cache for as long as its file is certain to be the same."""
    found, begun = file_stamp(path), time.time_ns()
    key = hashlib.sha256(f"layout\0{found}".encode()).hexdigest()
    known = cache_dir() / "folders" / "known" / f"{key}.layout"
    with suppress(OSError, ValueError, LookupError, TypeError):
        kept = unsealed(reading.content(known, MOST_LAYOUT))
        return Layout(kept["top"], kept["splits"])
    packed = _opened(path, shown)
    try:
        left_out = Counter[str]()
        layout = _arranged([member.name for member in _images(packed, path, shown, left_out)], shown, left_out)
    finally:
        packed.close()
    if found[4] + TICK < begun and file_stamp(path) == found:
        with suppress(OSError):  # a cache that can only be read
            known.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(known, sealed(layout._asdict()).encode())
    return layout


def _arranged(names: Sequence[str], shown: str, left_out: Counter[str]) -> Layout:
    """The layout by the names of all images. Raises DataError if there are none, or for splits that are none."""
    if not names:
        raise DataError(no_images(shown, left_out))
    top = _common(names)
    folders, images = set[str](), False
    for name in names:
        first, _, rest = name[len(top) :].partition("/")
        images |= not rest
        if rest:
            folders.add(first)
    return Layout(top, among(shown, folders, images) or {})


def _common(names: Iterable[str]) -> str:
    """The deepest folder that holds all names, with "/" at its end."""
    first, last = min(names), max(names)
    same = os.path.commonprefix([first, last])
    return same[: same.rfind("/") + 1]
