"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

# What a write that was killed leaves, of a file of this name; the second form is that of version 0.1.
PART = re.compile(r"\.(.+)\.(?:[0-9a-f]{16}|[a-z0-9_]{8})\.part")
NO_FOLDER_SYNC = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS, errno.EISDIR)

# A file's device, inode, size, and times of the last change of its content and of its inode, in nanoseconds. A program
# can set the first time back, and copy tools do; the second is the kernel's, which nobody sets.
Stamp = tuple[int, int, int, int, int]


def stamp(found: os.stat_result) -> Stamp:
    """What the file system says changes when a file does."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write beside, fsync, rename: a reader sees the old content or the new, never a part. Raises OSError."""
    # A file system takes names of 255 bytes, and a letter has up to 4 of them.
    beside = path.parent / f".{path.name[:50]}.{secrets.token_hex(8)}.part"
    try:
        # With the rights that any new file gets. O_BINARY is Windows'.
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def _replace(beside: Path, path: Path) -> None:
    """Rename. Windows refuses while somebody has the old file open, which readers of ours have for a moment only."""
    for _ in range(20):
        try:
            return os.replace(beside, path)
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(0.1)
    os.replace(beside, path)


def part_of(name: str) -> str | None:
    """The name of the file that a file of this name is an unfinished writing of; None if it is no such thing."""
    found = PART.fullmatch(name)
    return found[1] if found else None


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically."""
    write_atomic(path, as_json(value))


def as_json(value: Any) -> bytes:
    """Readable JSON; NaN is refused, since JSON has none."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def fsync_folder(folder: Path) -> None:
    """Make renames in this folder survive a power cut, where the system can: Windows syncs no folders."""
    try:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
