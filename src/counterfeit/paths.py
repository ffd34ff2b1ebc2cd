"""Paths as people type them: `~` expanded and made absolute once, at the entry, and compared so."""

from __future__ import annotations

import os
from pathlib import Path


def is_url(path: str) -> bool:
    """Whether this is for fsspec, such as s3://bucket/mine; a path of this machine is not, nor is it as file://."""
    return "://" in path


def typed(path: str | os.PathLike[str]) -> str:
    """The path as it is shown to the person who typed it, with `~` expanded; a URL as it is."""
    text = os.fspath(path)
    return text if is_url(text) else os.path.expanduser(text)


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
