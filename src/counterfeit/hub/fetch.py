"""From the hub to a local folder: only files that a run has, each checked, and the folder whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from counterfeit.data.cache import cache_dir, locked
from counterfeit.errors import RunError
from counterfeit.hub.files import LIST, MOST_FILES, digest, is_ours
from counterfeit.hub.place import Address, address, client, reaching
from counterfeit.system import reading
from counterfeit.system.console import progress
from counterfeit.system.reading import Malformed

MOST = 16 << 30  # bytes of a run
COMMIT = re.compile(r"[0-9a-f]{40}")


class Listed(msgspec.Struct):
    """What files.json says of a file."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0, le=MOST)]


class FileList(msgspec.Struct):
    """files.json."""

    files: Annotated[dict[str, Listed], Meta(max_length=MOST_FILES)]


def fetched(text: str) -> Path:
    """The folder of a run on the hub, `hf://owner/name` or `hf://owner/name@revision`, as it is there now.

    It is in the cache, by its commit: a revision that is a whole commit needs no network the second time. Whoever
    pushed it is a stranger: files of other names than a run's are not fetched, and nothing that is fetched is run.

    Raises RunError: it cannot be reached, is no run, or a file is not what its list says.
    """
    where = address(text)
    if COMMIT.fullmatch(where.revision) and (kept := _place(where, where.revision)).is_dir():
        return kept
    api = client()
    with reaching(where):
        found = api.model_info(where.repository, revision=where.revision, files_metadata=True)
    commit = found.sha or ""
    if not COMMIT.fullmatch(commit):
        raise RunError(f"{where} has no commit: it cannot be loaded")
    place = _place(where, commit)
    with locked(place.parent / f"{commit}.lock", str(where)) as folder:
        place = folder / place.name
        if not place.is_dir():
            sizes = {file.rfilename: file.size or 0 for file in found.siblings or []}
            _fetch(api, where, commit, sizes, place)
    return place


def _place(where: Address, commit: str) -> Path:
    return cache_dir() / "hub" / where.repository.replace("/", "--") / commit


def _fetch(api: Any, where: Address, commit: str, sizes: dict[str, int], place: Path) -> None:
    if LIST not in sizes or "run.json" not in sizes:
        raise RunError(f"{where} is no run of counterfeit, since it has no {LIST if LIST not in sizes else 'run.json'}")
    wanted = [name for name in sizes if is_ours(name)]
    total = sum(sizes[name] for name in wanted)
    if total > MOST or sizes[LIST] > reading.RECORD or len(wanted) > MOST_FILES:
        raise RunError(f"{where} has {len(wanted):,} files of {total:,} bytes, more than a run has: it is not fetched")
    with _beside(place) as beside:
        whole = beside / "run"
        with reaching(where), progress(f"fetching {where}", total, unit="B") as advance:
            for name in (LIST, *wanted):
                api.hf_hub_download(where.repository, name, revision=commit, local_dir=whole)
                advance(sizes[name] if name != LIST else 0)
        _check(where, whole, wanted)
        shutil.rmtree(whole / ".cache", ignore_errors=True)  # the client's notes
        whole.replace(place)


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


def _check(where: Address, whole: Path, names: list[str]) -> None:
    """RunError where a file is not the one that was pushed, or none that was."""
    try:
        listed = reading.record(reading.content(whole / LIST), FileList).files
    except (OSError, Malformed) as error:
        raise RunError(f"{where}: {LIST} cannot be read ({reading.reason(error)})") from None
    for name in names:
        path, entry = whole / name, listed.get(name)
        if not path.is_file() or path.is_symlink() or entry is None:
            raise RunError(f"{where}: {name} is not in its {LIST}: it is not loaded")
        if path.stat().st_size != entry.size or digest(path) != entry.sha256:
            raise RunError(f"{where}: {name} has not the SHA-256 of its {LIST}: it is damaged, or was changed")
    if missing := next((name for name in listed if name not in names), None):
        raise RunError(f"{where}: {missing[:80]!r} of its {LIST} is missing: it is not loaded")
