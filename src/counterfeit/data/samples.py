"""Labels that WebDataset keeps beside images: a sample of a .tar is files of one name, KEY.jpg, KEY.cls, KEY.json."""

from __future__ import annotations

import json
import os
import sys

from counterfeit.data.class_names import one_line
from counterfeit.data.members import Member, Packed
from counterfeit.errors import DataError
from counterfeit.system.arguments import shown as in_words

FIELDS = ("label", "cls", "class")  # of a .json file that has a label, the first that is there
LONGEST = {".cls": 255, ".json": 1 << 16}  # bytes


class Labels:
    """The labels in an archive, by key: the path of a file up to the first "." in its name."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._of: dict[str, str] = {}
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._of)

    def begin(self) -> None:
        """Forget which images were asked for, before they are asked for again."""
        self._seen.clear()

    def take(self, member: Member, packed: Packed) -> bool:
        """Whether a file holds a label, which is kept. A .cls goes before a .json."""
        ending = os.path.splitext(member.name)[1].lower()
        if ending not in LONGEST or not 0 < member.size <= LONGEST[ending]:
            return False
        content = packed.read(member.offset, member.size)
        label = _of_json(content) if ending == ".json" else _text(content)
        if label is None:
            if ending == ".json":
                return False
            raise DataError(f"{self._shown}: {member.name} holds no label, which is a number or a name in one line")
        key = key_of(member.name)
        if ending == ".cls" or key not in self._of:
            self._of[key] = sys.intern(label)
        return True

    def of(self, name: str) -> str | None:
        """The label of an image; None if the archive has no labels.

        Raises DataError if other images have one, or if there are several images in a sample.
        """
        if not self._of:
            return None
        key = key_of(name)
        if key in self._seen:
            raise DataError(f"{self._shown}: the sample {in_words(key)} has several images; pack one of each sample")
        self._seen.add(key)
        if key not in self._of:
            raise DataError(f"{self._shown}: {name} has no label beside it, such as {key}.cls, and other images have")
        return self._of[key]


def key_of(name: str) -> str:
    """The path up to the first "." in the last part: `a.b/c` of `a.b/c.seg.png`."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _text(content: bytes) -> str | None:
    try:
        return _label(content.decode("utf-8").strip())
    except UnicodeDecodeError:
        return None


def _of_json(content: bytes) -> str | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    label = next((found[field] for field in FIELDS if field in found), None) if isinstance(found, dict) else None
    return _label(str(label)) if isinstance(label, int | str) and not isinstance(label, bool) else None


def _label(text: str) -> str | None:
    """A label as the name of a class: without leading zeros, if it is a number."""
    if not one_line(text):
        return None
    return str(int(text)) if text.isascii() and text.isdecimal() and len(text) < 20 else text
