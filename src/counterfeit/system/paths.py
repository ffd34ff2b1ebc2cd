"""Paths as users type them: `~` is expanded and paths are made absolute once, on entry, and compared in that form."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import url2pathname

from counterfeit.errors import InputError
from counterfeit.system.arguments import fitted, shown

LONGEST_NAME = 255  # bytes of a file name, in nearly every file system
LONGEST_PATH = 4000  # bytes of a path; Linux takes 4,096


def is_url(path: str) -> bool:
    """Whether a path returned by `typed` is a URL for fsspec, such as s3://bucket/mine."""
    return "://" in path


def typed(path: str | os.PathLike[str]) -> str:
    """The path as shown to the user who typed it, with `~` expanded; URLs are unchanged, except file://.

    If a file whose name begins with `~` exists (some editors make such files), the path means that file. Raises
    InputError for what cannot be a path.
    """
    text = _here(os.fspath(fitted(path, str | os.PathLike, "a path")))
    if is_url(text):
        return text
    text = _checked(text)
    if not text.startswith("~") or os.path.lexists(text):
        return text
    found = os.path.expanduser(text)
    if found.startswith("~"):  # otherwise a folder with this name would be created here
        user = text.split(os.sep)[0][1:]
        fault = f"there is no user {user}" if user else "your home folder is not known, since HOME is not set"
        raise InputError(
            f"{text} cannot be resolved ({fault}): write the path out, or ./{text} for what is called so here"
        )
    return found


def _here(text: str) -> str:
    """The local path for a URL of this machine's files, such as file:///home/me/runs; other text unchanged."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("file", "local"):
        return text
    return url2pathname(rest.removeprefix("localhost"))


def _checked(text: str) -> str:
    """The path in this process's encoding, which may differ for non-ASCII characters under another locale.

    Raises InputError for what no file system accepts: an empty name, one that is too long, or one with a NUL character.
    """
    if not text:
        raise InputError("a path is empty: pass a file or folder, or leave it out")
    if "\0" in text:
        raise InputError(f"{shown(text)} contains a NUL character, which no path can: check it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:  # written under another locale: its bytes are UTF-8
        try:
            text = os.fsdecode(text.encode("utf-8", "surrogateescape"))
        except UnicodeError:
            raise InputError(f"{text!a} contains half a character, which no path can: check it") from None
    lengths = [len(os.fsencode(part)) for part in Path(text).parts]
    if max(lengths, default=0) > LONGEST_NAME or sum(lengths) + len(lengths) > LONGEST_PATH:
        raise InputError(f"{text[:60]}… is longer than a path can be, {LONGEST_NAME} bytes a name: pass a shorter one")
    return text


def spelled(path: str | os.PathLike[str]) -> str:
    """`typed`, except that a path object stays a path as a string: Path("mnist") is ./mnist, not a data set."""
    text = typed(path)
    return text if isinstance(path, str) or os.path.dirname(text) else os.path.join(os.curdir, text)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path made absolute, to stay valid if the process changes folder; `~` is expanded, links not followed."""
    try:
        return Path(os.path.abspath(typed(path)))
    except FileNotFoundError:
        raise InputError(
            "the current folder does not exist any more: change to another, or pass absolute paths"
        ) from None


def same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to the same place, after following links."""
    return os.path.realpath(typed(one)) == os.path.realpath(typed(other))
