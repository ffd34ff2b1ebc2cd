"""Read files that others may have written: regular files of bounded size, and JSON as typed records (only here).

Run folders are shared, so a file in one may contain anything. Content that such a file cannot have is refused with a
short message, before anything is done with it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from counterfeit.errors import InputError
from counterfeit.system.text import reason

__all__ = ["Malformed", "content", "converted", "opened", "parsed", "reason", "record", "within"]

T = TypeVar("T")

RECORD = 16 << 20  # the most bytes of a record, such as run.json or a stored score
DEPTH = 32  # levels of nested lists and objects; our own files need 6
LARGEST = 2**64  # bound of integers: a seed has 63 bits
HUGE = 1e100  # bound of floats, so that their squares are finite: float32 goes up to 3.4e38
# Largest count, such as of steps: every integer up to this is exact in float64.
COUNT = 2**53


class Malformed(ValueError):
    """The content of a file is not what such a file holds; the message says in a few words what is wrong."""


@contextmanager
def opened(path: Path, most: int = RECORD) -> Iterator[BinaryIO]:
    """Open a regular file, or the target of a link, for reading.

    Pipes and devices are refused, without waiting for them. Raises OSError, whose `strerror` is the reason in a few
    words; also for anything but a regular file, and for a file of more than `most` bytes.
    """
    _check(os.stat(path), path, most)  # before opening: to open some devices is to use them
    # A pipe may have replaced the file since then; O_NONBLOCK opens it without waiting. Windows has neither.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        _check(os.fstat(file.fileno()), path, most)
        yield file


def content(path: Path, most: int = RECORD) -> bytes:
    """The content of a file of at most `most` bytes. Raises OSError as `opened` does."""
    with opened(path, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def within(folder: Path, path: Path) -> bool:
    """Whether a path stays inside a folder after following links."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _check(found: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or device, and no file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, and such a file at most {most:,}", str(path))


def record(text: bytes, kind: type[T]) -> T:
    """Parse JSON into a record of this type, such as a dataclass. Raises Malformed."""
    return converted(parsed(text), kind)


def parsed(text: bytes) -> Any:
    """Parse JSON into plain types: finite numbers, at most DEPTH levels. Raises Malformed."""
    # msgspec's own parser refuses the surrogates that stand for file names that are not UTF-8.
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refused, parse_int=_whole)
    except UnicodeDecodeError as error:
        raise Malformed(f"it is not UTF-8 at byte {error.start:,}") from None
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"it is not JSON: {error}" if text.strip() else "it is empty") from None
    _check_plain([value])
    return value


def converted(value: Any, kind: type[T], hook: Callable[[type[Any], Any], Any] | None = None) -> T:
    """Convert plain types to a record of this type, checking every type. Raises Malformed.

    Args:
        value: plain types, such as `parsed` returns.
        kind: the type of the record.
        hook: (type, value) -> value of a type that msgspec does not know.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        cause = error.__cause__ if isinstance(error.__cause__, InputError) else error
        raise Malformed(str(cause)) from None


def _refused(word: str) -> None:
    raise Malformed(f"it holds {word}, which is no JSON")


def _whole(digits: str) -> int:
    if len(digits) > len(str(LARGEST)):  # before parsing, which is slow for millions of digits
        raise Malformed(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)


def _check_plain(values: Sequence[Any]) -> None:
    """Raise Malformed for numbers that are too large, and for nesting that is too deep; without recursion."""
    for _ in range(DEPTH + 1):
        for value in values:
            of_range = HUGE if isinstance(value, float) else LARGEST
            if isinstance(value, int | float) and abs(value) >= of_range:  # 1e999 is parsed as infinity
                raise Malformed(f"it holds {value:.3g}, which is out of range")
        lists = [value for value in values if isinstance(value, dict | list)]
        if not lists:
            return
        values = [inner for one in lists for inner in (one.values() if isinstance(one, dict) else one)]
    raise Malformed("it is nested too deeply")
