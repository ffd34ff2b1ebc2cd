"""Paths as people type them: `~` expanded and made absolute once, at the entry, and compared so."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import url2pathname

from counterfeit.errors import InputError
from counterfeit.system.arguments import fitted, shown

LONGEST_NAME = 255  # bytes of a file's name, in nearly every file system
LONGEST_PATH = 4000  # bytes of a path; Linux takes 4,096


def is_url(path: str) -> bool:
    """Whether a path as it is `typed` is for fsspec, such as s3://bucket/mine."""
    return "://" in path


def typed(path: str | os.PathLike[str]) -> str:
    """The path as it is shown to the person who typed it, with `~` expanded; a URL as it is, but for file://.

    A name that begins with `~` and is there, as the files of some editors, is that file. Raises InputError for what no
    path can be.
    """
    text = _here(os.fspath(fitted(path, str | os.PathLike, "a path")))
    if is_url(text):
        return text
    text = _checked(text)
    if not text.startswith("~") or os.path.lexists(text):
        return text
    found = os.path.expanduser(text)
    if found.startswith("~"):  # else a folder of that name would be made here
        user = text.split(os.sep)[0][1:]
        fault = f"there is no user {user}" if user else "your home folder is not known, since HOME is not set"
        raise InputError(
            f"{text} cannot be resolved ({fault}): write the path out, or ./{text} for what is called so here"
        )
    return found


def _here(text: str) -> str:
    """A path in place of a URL of this machine's own files, such as file:///home/me/runs."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("file", "local"):
        return text
    return url2pathname(rest.removeprefix("localhost"))


def _checked(text: str) -> str:
    """The path as this process names it to the system, which under a code page differs for foreign letters.

    Raises InputError for what no file system has: an empty name, one that is too long, or with the character NUL.
    """
    if not text:
        raise InputError("a path is empty: pass a file or folder, or leave it out")
    if "\0" in text:
        raise InputError(f"{shown(text)} contains a NUL character, which no path can: check it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:  # written down under another locale: its bytes are UTF-8 there
        try:
            text = os.fsdecode(text.encode("utf-8", "surrogateescape"))
        except UnicodeError:
            raise InputError(f"{text!a} contains half a character, which no path can: check it") from None
    lengths = [len(os.fsencode(part)) for part in Path(text).parts]
    if max(lengths, default=0) > LONGEST_NAME or sum(lengths) + len(lengths) > LONGEST_PATH:
        raise InputError(f"{text[:60]}… is longer than a path can be, {LONGEST_NAME} bytes a name: pass a shorter one")
    return text


def spelled(path: str | os.PathLike[str]) -> str:
    """`typed`, and a path object so that it stays a path as a string: Path("mnist") is ./mnist, and no data set."""
    text = typed(path)
    return text if isinstance(path, str) or os.path.dirname(text) else os.path.join(os.curdir, text)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path that means the same from whichever folder the process goes on: `~` expanded, links not followed."""
    try:
        return Path(os.path.abspath(typed(path)))
    except FileNotFoundError:
        raise InputError(
            "the current folder does not exist any more: change to another, or pass absolute paths"
        ) from None


def same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to one place, links followed."""
    return os.path.realpath(typed(one)) == os.path.realpath(typed(other))
