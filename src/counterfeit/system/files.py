"""Files that are either complete or absent, even if the process is killed at any moment."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

# Names of the temporary files that a killed write leaves, which contain the name of the final file; the second form is
# from version 0.1.
PART = re.compile(r"\.(.+)\.(?:[0-9a-f]{16}|[a-z0-9_]{8})\.part")
NO_FOLDER_SYNC = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS, errno.EISDIR)

# A file's device, inode, size, and the times when its content and its inode last changed, in nanoseconds. A program can
# set the first time back, and copy tools do; the second is set by the kernel only.
Stamp = tuple[int, int, int, int, int]


def stamp(found: os.stat_result) -> Stamp:
    """The attributes of a file that change when the file does."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a temporary file, fsync, rename: a reader sees the old content or the new, never a part. Raises OSError."""
    # A file name may have 255 bytes, and a character up to 4 of them.
    beside = path.parent / f".{path.name[:50]}.{secrets.token_hex(8)}.part"
    try:
        # The usual permissions of a new file. O_BINARY exists on Windows only.
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
    """Rename. Windows refuses this while the old file is open, which our own readers need only for a moment."""
    for _ in range(20):
        try:
            return os.replace(beside, path)
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(0.1)
    os.replace(beside, path)


def part_of(name: str) -> str | None:
    """The name of the final file if `name` is that of an unfinished write; else None."""
    found = PART.fullmatch(name)
    return found[1] if found else None


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_atomic(path, as_json(value))


def as_json(value: Any) -> bytes:
    """Indented JSON as bytes. Raises ValueError for NaN, which JSON does not have."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def fsync_folder(folder: Path) -> None:
    """Make renames in this folder survive a power failure, if the system can: Windows cannot sync folders."""
    try:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
