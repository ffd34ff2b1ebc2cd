"""A log.jsonl that grows: its rows so far, of which only the new ones are read."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from counterfeit.runs import RunFolder, log
from counterfeit.runs.folder import MOST_LOG
from counterfeit.runs.log import LogRow
from counterfeit.system import reading
from counterfeit.system.reading import Malformed

MOST_FOLLOWED = 256  # logs that are kept in memory


@dataclass
class Followed:
    """A log as it was read last.

    Attributes:
        rows: the oldest first; a row that cannot be read is left out.
        read: bytes that were read.
        file: device and inode; another file is another log.
        times: how often it began anew, which says that earlier rows are gone.
    """

    rows: list[LogRow] = field(default_factory=list)
    read: int = 0
    file: tuple[int, int] = (0, 0)
    times: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_followed: dict[str, Followed] = {}


def follow(folder: RunFolder) -> tuple[list[LogRow], int]:
    """All rows of a run's log, and how often it began anew. No rows where there is no log that can be read."""
    one = _followed.setdefault(str(folder.path), Followed())
    while len(_followed) > MOST_FOLLOWED:
        with suppress(KeyError, StopIteration):
            del _followed[next(iter(_followed))]
    with one.lock:
        try:
            _read_on(one, folder)
        except OSError:
            one.rows, one.read, one.file = [], 0, (0, 0)
        return list(one.rows), one.times


def _read_on(one: Followed, folder: RunFolder) -> None:
    with reading.opened(folder.log_file, MOST_LOG) as file:
        found = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) != one.file or found.st_size < one.read:
            one.rows, one.read, one.times = [], 0, one.times + 1
            one.file = found.st_dev, found.st_ino
        file.seek(one.read)
        text = file.read(found.st_size - one.read)
    whole = text[: text.rfind(b"\n") + 1]
    one.read += len(whole)
    for line in whole.splitlines():
        with suppress(Malformed):
            one.rows.append(log.parsed(line))
