"""Class names: their order, their folder names and back, and labels given by name."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Container, Iterable, Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np

from counterfeit.errors import InputError
from counterfeit.system.words import first_few

# Characters that some file system refuses or gives another meaning; "%" because it begins an escaped character.
UNSAFE = frozenset('/\\:*?"<>|%') | {chr(code) for code in (*range(32), 127)}
DEVICES = frozenset(  # on Windows, with any extension
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³")]
)
LONGEST = 255  # bytes of a file name


def one_line(text: str) -> bool:
    """Whether a stranger's text can be the name of a class: 1 to 255 characters of one line, none of them broken."""
    return 0 < len(text) <= LONGEST and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names: as numbers if all are whole numbers, so that 2 comes before 10; otherwise alphabetically."""
    names = list(names)
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name)) if numbers else sorted(names)


def folder_names(classes: Sequence[str]) -> list[str]:
    """A folder name for each class, the same on every system; `class_name` gives the class back.

    It is the class name itself, except that characters refused by some file system are escaped as in a URL, %2F for
    "/". The first characters are escaped too if a name has another meaning ("con", ".x"), or if a case-insensitive disk
    would confuse it with an earlier name.

    Raises:
        InputError: a name is empty, occurs twice, or is too long for a folder.
    """
    taken: dict[str, str] = {}  # folder as a disk may see it -> folder
    earlier: set[str] = set()
    for name in classes:
        folder = _safe(name, taken)
        fault = "" if name else "is empty"
        if name in earlier:
            fault = "is there twice"
        elif len(folder.encode(errors="surrogateescape")) > LONGEST:
            fault = f"takes more than the {LONGEST} bytes that a folder's name can have"
        if fault:
            shown = name if len(name) <= 40 else f"{name[:39]}…"
            raise InputError(f"the class name {shown!r} {fault}: pass --out FILE.npz, or give the class another name")
        taken[_seen(folder)] = folder
        earlier.add(name)
    return list(taken.values())


def _safe(name: str, taken: Container[str]) -> str:
    """The name with as few characters escaped as necessary; with all of them escaped, it is unique."""
    unsafe = [char in UNSAFE for char in name]
    if name[-1:] in (".", " "):  # Windows removes these
        unsafe[-1] = True
    for first in range(len(name) + 1):
        chars = (_escaped(c) if bad or i < first else c for i, (c, bad) in enumerate(zip(name, unsafe, strict=True)))
        safe = "".join(chars)
        special = safe.startswith((".", " ")) or safe.partition(".")[0].rstrip(" ").casefold() in DEVICES
        if not special and _seen(safe) not in taken:
            break
    return safe


def class_name(folder: str) -> str:
    """The class name for a folder name made by `folder_names`."""
    return unquote(folder)


def numbers(classes: Sequence[str], labels: Any) -> Any:
    """Convert labels given by name to numbers: one name, or a sequence that contains names; others are unchanged.

    A name takes precedence over a number: "7" is the class named 7 if there is one, else class number 7.

    Raises:
        InputError: a string is neither a class name nor a number.
    """
    if isinstance(labels, str):
        return _number(classes, labels)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "US":
        labels = labels.astype(str).tolist()
    if isinstance(labels, (list, tuple)):
        return [_number(classes, str(label)) if isinstance(label, str) else label for label in labels]
    return labels


def _number(classes: Sequence[str], label: str) -> int:
    if label in classes:
        return list(classes).index(label)
    if label.isascii() and label.removeprefix("-").isdecimal():
        return int(label)
    near = difflib.get_close_matches(label, classes, n=1)
    raise InputError(
        f"no class named {label!r}; {f'did you mean {near[0]!r}?' if near else f'known: {first_few(classes)}'}"
    )


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogateescape"))


def _seen(name: str) -> str:
    """The name as seen by a disk that ignores case and the Unicode form of accents."""
    return unicodedata.normalize("NFC", name).casefold()
