"""Paths as people type them: `~` expanded and made absolute once, at the entry, and compared so."""

from __future__ import annotations

import os
from pathlib import Path

from counterfeit.arguments import fitted, shown
from counterfeit.errors import InputError

LONGEST = 255  # bytes of a file's name


def is_url(path: str) -> bool:
    """Whether this is for fsspec, such as s3://bucket/mine; a path of this machine is not, nor is it as file://."""
    return "://" in path


def typed(path: str | os.PathLike[str]) -> str:
    """The path as it is shown to the person who typed it, with `~` expanded; a URL as it is.

    Raises InputError for what no path can be.
    """
    text = os.fspath(fitted(path, str | os.PathLike, "a path"))
    if is_url(text):
        return text
    for part in text.replace("\\", "/").split("/"):
        if len(part.encode("utf-8", "surrogateescape")) > LONGEST:
            raise InputError(f"{shown(text)} has a name of more than {LONGEST} bytes, which no disk takes: shorten it")
    return os.path.expanduser(text)


def spelled(path: str | os.PathLike[str]) -> str:
    """`typed`, and a path object so that it stays a path as a string: Path("mnist") is ./mnist, and no data set."""
    text = typed(path)
    return text if isinstance(path, str) or os.path.dirname(text) else os.path.join(os.curdir, text)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path that means the same from whichever folder the process goes on: `~` expanded, links not followed."""
    return Path(os.path.abspath(typed(path)))


def same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to one place, links followed."""
    return os.path.realpath(typed(one)) == os.path.realpath(typed(other))
