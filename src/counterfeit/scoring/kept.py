"""What was computed once and is kept in the cache, under a key of everything that decides it, the code included.

A change of a data set, a detector's weights or the code that computes leads to another key: nothing stale is ever met.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import counterfeit
from counterfeit.data import cache_dir
from counterfeit.data.cache import locked
from counterfeit.files import write_atomic

Arrays = Mapping[str, np.ndarray]


def kept(kind: str, key: str | None, names: Sequence[str], what: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays that `make` gives, from the cache where they are there already; a key of None is never kept.

    A second process that wants the same waits for the first. A damaged file is made again.

    Args:
        kind: folder of the cache.
        names: of the arrays.
        what: for the message of a cache that cannot be written.
    """
    if key is None:
        return make()
    path = cache_dir() / kind / f"{key}.npz"
    with locked(path.with_suffix(".lock"), what):
        found = _read(path)
        if found is None or set(found) != set(names):
            found = make()
            buffer = io.BytesIO()
            np.savez(buffer, **found)  # type: ignore[arg-type]  # one of numpy's own options is bool
            write_atomic(path, buffer.getbuffer())
    return found


def key_of(facts: Sequence[Any], *packages: str) -> str:
    """Hex, of JSON facts and of the source of our packages that compute."""
    whole = [*facts, *(SOURCES[package] for package in packages)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def source_digest(package: str) -> str:
    """SHA-256 of the Python files of `counterfeit.PACKAGE`."""
    folder = Path(counterfeit.__file__).parent / package
    files = sorted(folder.rglob("*.py"))
    content = [(str(path.relative_to(folder)), path.read_text()) for path in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


# Taken now, as near as can be to when the code is loaded: what is edited later is not what this process computes with.
SOURCES = {package: source_digest(package) for package in ("detectors", "metrics")}


def _read(path: Path) -> Arrays | None:
    """What the file holds; None where there is none, or where it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile):
        return None
