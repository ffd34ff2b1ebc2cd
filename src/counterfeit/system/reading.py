"""Files that others may have written: regular ones only, of a bounded size; JSON becomes typed records, here only.

Run folders are shared, and a file in one holds whatever somebody put there. What is read here is refused in a few
words, before anything is done with it, if it is not what such a file can hold.
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

RECORD = 16 << 20  # bytes that a record, such as run.json or a stored score, may have
DEPTH = 32  # lists and objects within each other; our own files need 6
LARGEST = 2**64  # whole numbers stay below: a seed has 63 bits
HUGE = 1e100  # numbers stay below, so that their squares are still finite: a float32 goes to 3.4e38
# Counts, such as of steps: every whole number up to this is a float64 too.
COUNT = 2**53


class Malformed(ValueError):
    """The content of a file is not what such a file holds; the message says what is wrong in a few words."""


@contextmanager
def opened(path: Path, most: int = RECORD) -> Iterator[BinaryIO]:
    """A regular file, or what a link leads to, open for reading from its start.

    Pipes and devices are refused, and never waited for. Raises OSError, whose `strerror` is the reason in a few words:
    also for what is no file, and for one of more than `most` bytes.
    """
    _check(os.stat(path), path, most)  # to open some devices is to use them
    # A pipe may have taken its place since; with O_NONBLOCK it is opened at once. Windows has neither.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        _check(os.fstat(file.fileno()), path, most)
        yield file


def content(path: Path, most: int = RECORD) -> bytes:
    """All of a file that has at most so many bytes. Raises OSError as `opened`."""
    with opened(path, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def within(folder: Path, path: Path) -> bool:
    """Whether a path in a folder stays in it when links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _check(found: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or device, and no file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, and such a file at most {most:,}", str(path))


def record(text: bytes, kind: type[T]) -> T:
    """JSON as a record of this type, such as a dataclass. Raises Malformed."""
    return converted(parsed(text), kind)


def parsed(text: bytes) -> Any:
    """JSON as plain types: finite numbers, and nothing nested deeper than DEPTH. Raises Malformed."""
    # msgspec's own parser refuses the surrogates by which names of files that are not UTF-8 are written.
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
    """Plain types as a record of this type, every type checked; `hook` makes types of one's own. Raises Malformed."""
    try:
        return msgspec.convert(value, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        told = error.__cause__ if isinstance(error.__cause__, InputError) else error
        raise Malformed(str(told)) from None


def _refused(word: str) -> None:
    raise Malformed(f"it holds {word}, which is no JSON")


def _whole(digits: str) -> int:
    if len(digits) > len(str(LARGEST)):  # before they are read: that takes long if there are millions
        raise Malformed(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)


def _check_plain(values: Sequence[Any]) -> None:
    """Malformed for numbers that are too large, and for too deep a nesting. Level by level: nothing recurses."""
    for _ in range(DEPTH + 1):
        for value in values:
            of_range = HUGE if isinstance(value, float) else LARGEST
            if isinstance(value, int | float) and abs(value) >= of_range:  # 1e999 is read as infinity
                raise Malformed(f"it holds {value:.3g}, which is out of range")
        lists = [value for value in values if isinstance(value, dict | list)]
        if not lists:
            return
        values = [inner for one in lists for inner in (one.values() if isinstance(one, dict) else one)]
    raise Malformed("it is nested too deeply")
