"""Paths as people type them: `~` expanded and made absolute once, at the entry, and compared so."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import url2pathname

from counterfeit.arguments import fitted, shown
from counterfeit.errors import InputError

LONGEST = 255  # bytes of a file's name


def is_url(path: str) -> bool:
    """Whether a path as it is `typed` is for fsspec, such as s3://bucket/mine."""
    return "://" in path


def typed(path: str | os.PathLike[str]) -> str:
    """The path as it is shown to the person who typed it, with `~` expanded; a URL as it is, but for file://.

    Raises InputError for what no path can be.
    """
    text = _here(os.fspath(fitted(path, str | os.PathLike, "a path")))
    if is_url(text):
        return text
    for part in text.replace("\\", "/").split("/"):
        if len(part.encode("utf-8", "surrogateescape")) > LONGEST:
            raise InputError(f"{shown(text)} has a name of more than {LONGEST} bytes, which no disk takes: shorten it")
    return os.path.expanduser(text)


def _here(text: str) -> str:
    """A path in place of a URL of this machine's own files, such as file:///home/me/runs."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("file", "local"):
        return text
    return url2pathname(rest.removeprefix("localhost"))


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
