"""Where fetched and converted data is kept, the lock around its making, and the seal of what is written about it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from counterfeit import reading
from counterfeit.console import say
from counterfeit.errors import DataError


def cache_dir() -> Path:
    """The cache's folder: COUNTERFEIT_CACHE where it is set, else the user's cache folder. It may not exist yet."""
    chosen = os.environ.get("COUNTERFEIT_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("counterfeit", appauthor=False)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` (its folder is made) while the block makes `what` in the cache.

    A second process waits here, and says so. Raises DataError for an OSError, of the block too.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{what}: another process is at work on it; waiting for that one")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        fault = error.strerror or str(error)
        raise DataError(
            f"{what}: the cache at {path.parent} cannot be used ({fault}); "
            "make room there or set COUNTERFEIT_CACHE to another folder"
        ) from error


def sealed(facts: Mapping[str, Any]) -> str:
    """The facts as readable JSON that carries its own SHA-256, for `unsealed`."""
    return json.dumps({"seal": _seal(facts), **facts}, indent=1)


def unsealed(text: bytes) -> dict[str, Any]:
    """The facts of a sealed text. Raises ValueError if it is not exactly what was written."""
    facts = reading.parsed(text)
    if not isinstance(facts, dict) or facts.pop("seal", None) != _seal(facts):
        raise ValueError("its content is not what was written")
    return facts


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
