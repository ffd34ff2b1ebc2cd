"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

# A file's device, inode, size, and times of the last change of its content and of its inode, in nanoseconds. A program
# can set the first time back, and copy tools do; the second is the kernel's, which nobody sets.
Stamp = tuple[int, int, int, int, int]


def stamp(found: os.stat_result) -> Stamp:
    """What the file system says changes when a file does."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write beside, fsync, rename: a reader sees the old content or the new, never a part. Raises OSError."""
    fd, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically."""
    write_atomic(path, as_json(value))


def as_json(value: Any) -> bytes:
    """Readable JSON; NaN is refused, since JSON has none."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def fsync_folder(folder: Path) -> None:
    """Make renames in this folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
