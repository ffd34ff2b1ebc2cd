"""The cache of downloaded and converted data: where it is, the lock for writing to it, the seal of its JSON files."""

from __future__ import annotations

import atexit
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from counterfeit.errors import DataError
from counterfeit.system import paths, reading
from counterfeit.system.console import say
from counterfeit.system.text import reason


def cache_dir() -> Path:
    """The cache folder: COUNTERFEIT_CACHE if it is set, else the user's cache folder. It may not exist yet.

    For a user without a home folder, it is a temporary folder of this process.
    """
    chosen = os.environ.get("COUNTERFEIT_CACHE")
    if chosen:
        return paths.absolute(chosen)
    try:
        home = platformdirs.user_cache_path("counterfeit", appauthor=False)
    except (RuntimeError, KeyError):  # no HOME, and the system does not know the user
        return stand_in()
    return home if home.is_absolute() else stand_in()


@cache
def _made_in(process: int) -> Path:
    """A temporary folder, removed when the process ends; a forked process has its own."""
    made = Path(tempfile.mkdtemp(prefix="counterfeit-cache-"))
    atexit.register(_remove, made, process)
    return made


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def stand_in() -> Path:
    """A temporary folder of this process, for data that is missing from a read-only cache. Raises DataError."""
    try:
        return _made_in(os.getpid())
    except OSError as error:
        raise DataError(
            f"neither the cache nor a temporary folder can be written to ({reason(error)}): "
            "set COUNTERFEIT_CACHE or TMPDIR to a folder that can"
        ) from error


@contextmanager
def locked(path: Path, what: str) -> Iterator[Path]:
    """Hold the lock file `path` (its folder is created) while the block creates `what` in the cache.

    A second process waits here, and prints a message. Raises DataError for an OSError, also from the block.

    Yields:
        The lock's folder, in which to create it. If the cache is read-only, this is the corresponding folder in
        `stand_in`: nothing is cached, and everything else works. A message says so once.
    """
    lock, folder = _lock(path), path.parent
    if lock is None:
        folder = stand_in() / (path.parent.relative_to(cache_dir()) if path.is_relative_to(cache_dir()) else "")
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / path.name)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{what}: waiting for another process that is working on it")
            lock.acquire()
        try:
            yield folder
        finally:
            lock.release()
    except OSError as error:
        raise _unusable(what, folder, error) from error


def _lock(path: Path) -> FileLock | None:
    """The lock, after a trial; None if its folder is read-only. Raises DataError for what the user has to fix."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        lock.release()
    except Timeout:
        pass
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST):
            if os.environ.get("COUNTERFEIT_CACHE") or error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _unusable(path.name, path.parent, error) from error
        _say_once(
            f"the cache at {cache_dir()} cannot be written to ({reason(error)}): "
            "what it has not is made for this process only"
        )
        return None
    return lock


def _unusable(what: str, folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{what}: the cache at {folder} cannot be used ({reason(error)}); "
        "free some space there or set COUNTERFEIT_CACHE to another folder"
    )


@cache
def _say_once(message: str) -> None:
    say(message)


def sealed(facts: Mapping[str, Any]) -> str:
    """Facts as indented JSON that contains its own SHA-256, to be checked by `unsealed`."""
    return json.dumps({"seal": _seal(facts), **facts}, indent=1)


def unsealed(text: bytes) -> dict[str, Any]:
    """The facts in a sealed text. Raises ValueError if the text is not exactly what was written."""
    facts = reading.parsed(text)
    if not isinstance(facts, dict) or facts.pop("seal", None) != _seal(facts):
        raise ValueError("its content is not what was written")
    return facts


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
