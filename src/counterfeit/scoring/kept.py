"""Cache of computed arrays; the key covers everything that determines them, including the code.

A change of a data set, of a detector's weights, of the code or of the libraries leads to another key, so nothing
outdated is ever read. Each file contains its key and the shape, dtype and SHA-256 of its arrays; a file that does not
match is not used.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import PIL
import torch

from counterfeit.data import cache_dir
from counterfeit.data.cache import locked, sealed, unsealed
from counterfeit.runs import source
from counterfeit.system import reading
from counterfeit.system.console import say
from counterfeit.system.files import write_atomic
from counterfeit.system.text import reason

Arrays = Mapping[str, np.ndarray]

MOST = 64 << 30  # bytes of a file: we wrote it, and it holds the result of one computation
ABOUT = "about"  # name of the array that describes the others
# These round differently, and Pillow resizes for a detector: a result belongs to one version of them.
VERSIONS = {"torch": torch.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
# The exceptions that reading a file with arbitrary content can raise.
DAMAGED = (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, RuntimeError, BadZipFile, zlib.error)


def kept(kind: str, key: str | None, names: Sequence[str], what: str, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays that `make` computes, from the cache if they are there; a key of None disables the cache.

    A second process that wants the same arrays waits for the first. A damaged file is reported and created again. If
    the cache is read-only or full, the result is returned but not stored.

    Args:
        kind: folder in the cache.
        names: names of the arrays.
        what: description for messages.
    """
    if key is None:
        return make()
    path = cache_dir() / kind / f"{key}.npz"
    with suppress(*DAMAGED):  # tried again under the lock: another process may be creating it
        return _read(path, key, names)
    with locked(path.with_suffix(".lock"), what) as folder:
        path = folder / path.name
        try:
            return _read(path, key, names)
        except FileNotFoundError:
            pass
        except DAMAGED as error:
            say(f"{path} is damaged ({error}); creating it again")
        found = {name: np.asarray(array) for name, array in make().items()}
        buffer = io.BytesIO()
        about = np.array(sealed({"key": key, "arrays": _described(found)}))
        np.savez(buffer, **{**found, ABOUT: about})  # type: ignore[arg-type]  # one of numpy's own options is bool
        try:
            write_atomic(path, buffer.getbuffer())
        except OSError as error:
            say(f"{what}: not cached for the next time, since {folder} cannot be written to ({reason(error)})")
    return found


def key_of(facts: Sequence[Any], *parts: str) -> str:
    """Hex key of JSON facts, of the parts of our source that compute (see `source.digest`), and of library versions."""
    whole = [*facts, source.digest(*parts), VERSIONS]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def _read(path: Path, key: str, names: Sequence[str]) -> Arrays:
    """Read the file. Raises FileNotFoundError, or one of DAMAGED if it is not what was stored under the key."""
    with reading.opened(path, MOST) as file, np.load(file, allow_pickle=False) as arrays:
        found = dict(arrays)
    about = unsealed(str(found.pop(ABOUT, "{}")).encode())
    if about["key"] != key or set(found) != set(names) or about["arrays"] != _described(found):
        raise ValueError("it is not what was stored")
    return found


def _described(arrays: Arrays) -> dict[str, list[Any]]:
    """dtype, shape, and SHA-256 (hex) of the values in C order, by name."""
    return {
        name: [array.dtype.str, list(array.shape), hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()]
        for name, array in arrays.items()
    }
