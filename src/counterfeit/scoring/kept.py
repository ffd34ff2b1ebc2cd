"""What was computed once and is kept in the cache, under a key of everything that decides it, the code included.

A change of a data set, a detector's weights, the code that computes or the libraries that it computes with leads to
another key: nothing stale is ever met. Each file carries its key and the shape, dtype and SHA-256 of its arrays, and
nothing else is taken for it.
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

MOST = 64 << 30  # bytes of a file: it is ours, and holds what one computation gave
ABOUT = "about"  # the array of a file that says what the others are
# They round in their own ways, and Pillow resizes for a detector: what one version computed is not another's.
VERSIONS = {"torch": torch.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
# What reading a file of any content raises.
DAMAGED = (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, RuntimeError, BadZipFile, zlib.error)


def kept(kind: str, key: str | None, names: Sequence[str], what: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays that `make` gives, from the cache where they are there already; a key of None is never kept.

    A second process that wants the same waits for the first. What is not as it was stored is named and made again. A
    cache that can only be read, or is full, costs the keeping and nothing else.

    Args:
        kind: folder of the cache.
        names: of the arrays.
        what: for the message of a cache that cannot be written.
    """
    if key is None:
        return make()
    path = cache_dir() / kind / f"{key}.npz"
    with suppress(*DAMAGED):  # looked at again under the lock: another process may be making it
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
    """Hex, of JSON facts, of the parts of our source that compute (see `source.digest`), and of libraries' versions."""
    whole = [*facts, source.digest(*parts), VERSIONS]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def _read(path: Path, key: str, names: Sequence[str]) -> Arrays:
    """What the file holds. Raises FileNotFoundError, or one of DAMAGED if that is not what was stored under the key."""
    with reading.opened(path, MOST) as file, np.load(file, allow_pickle=False) as arrays:
        found = dict(arrays)
    about = unsealed(str(found.pop(ABOUT, "{}")).encode())
    if about["key"] != key or set(found) != set(names) or about["arrays"] != _described(found):
        raise ValueError("it is not what was stored")
    return found


def _described(arrays: Arrays) -> dict[str, list[Any]]:
    """By name: dtype, shape, and SHA-256 (hex) of the values in C order."""
    return {
        name: [array.dtype.str, list(array.shape), hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()]
        for name, array in arrays.items()
    }
