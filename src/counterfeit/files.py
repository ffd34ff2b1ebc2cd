"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
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
    # A name of up to 255 bytes is allowed, and so must that of the file beside it be.
    fd, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        replace(beside, path)
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


def replace(source: str | Path, place: Path) -> None:
    """Rename over what is there. Windows refuses while another process has that open: it is asked again for a while."""
    for pause in (0.01, 0.05, 0.1, 0.3, 0.5, 1.0) if os.name == "nt" else ():
        try:
            return os.replace(source, place)
        except PermissionError:
            time.sleep(pause)
    os.replace(source, place)


def fsync_folder(folder: Path) -> None:
    """Make renames in this folder survive a power cut, where the system can: the file itself is written already.

    Windows opens no folder, and some network file systems synchronize none. Raises OSError of a disk that fails.
    """
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        os.close(fd)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
