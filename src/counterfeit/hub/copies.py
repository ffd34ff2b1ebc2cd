"""A run that comes from elsewhere as a folder in the cache: each file checked, and the folder whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from counterfeit.data.cache import locked
from counterfeit.errors import RunError
from counterfeit.hub.files import LIST, MOST_FILES, digest
from counterfeit.system import reading
from counterfeit.system.reading import Malformed

MOST = 16 << 30  # bytes of a run


class Listed(msgspec.Struct):
    """What files.json says of a file."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0, le=MOST)]


class FileList(msgspec.Struct):
    """files.json."""

    files: Annotated[dict[str, Listed], Meta(max_length=MOST_FILES)]


def copied(place: Path, where: object, fill: Callable[[Path], None]) -> Path:
    """The folder of a run in the cache, which is there or is filled now: only one process does, and others wait.

    Returns another folder than `place` if the cache is read-only.
    """
    with locked(place.parent / f"{place.name}.lock", str(where)) as folder:
        place = folder / place.name
        if not place.is_dir():
            with _beside(place) as beside:
                fill(beside / "run")
                (beside / "run").replace(place)
    return place


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """An empty folder beside it while the block runs. Its lock is held: what lies there, a killed process has left."""
    part = place.with_name(f".part-{place.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def listed(folder: Path, where: object) -> dict[str, Listed]:
    """What the list of a run's files says of each. Raises RunError."""
    try:
        return reading.record(reading.content(folder / LIST), FileList).files
    except (OSError, Malformed) as error:
        raise RunError(f"{where}: {LIST} cannot be read ({reading.reason(error)})") from None


def check(where: object, folder: Path, names: Iterable[str]) -> None:
    """RunError where a file in a folder is not the one of its list, or one of these is not there."""
    known, found = listed(folder, where), list(names)
    for name in found:
        path, entry = folder / name, known.get(name)
        if not path.is_file() or path.is_symlink() or entry is None:
            raise RunError(f"{where}: {name} is not in its {LIST}: it is not loaded")
        if path.stat().st_size != entry.size or digest(path) != entry.sha256:
            raise RunError(f"{where}: {name} has not the SHA-256 of its {LIST}: it is damaged, or was changed")
    if missing := next((name for name in known if name not in found), None):
        raise RunError(f"{where}: {missing[:80]!r} of its {LIST} is missing: it is not loaded")
