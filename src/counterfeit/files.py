"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


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
