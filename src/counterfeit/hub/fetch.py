"""From the hub to a local folder: only files that a run has."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from counterfeit.data.cache import cache_dir
from counterfeit.errors import RunError
from counterfeit.hub import copies
from counterfeit.hub.copies import MOST
from counterfeit.hub.files import LIST, MOST_FILES, is_ours
from counterfeit.hub.place import Address, address, client, reaching
from counterfeit.system import reading
from counterfeit.system.console import progress

COMMIT = re.compile(r"[0-9a-f]{40}")


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
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or []}
    return copies.copied(_place(where, commit), where, lambda folder: _fetch(api, where, commit, sizes, folder))


def _place(where: Address, commit: str) -> Path:
    return cache_dir() / "hub" / where.repository.replace("/", "--") / commit


def _fetch(api: Any, where: Address, commit: str, sizes: dict[str, int], folder: Path) -> None:
    if LIST not in sizes or "run.json" not in sizes:
        raise RunError(f"{where} is no run of counterfeit, since it has no {LIST if LIST not in sizes else 'run.json'}")
    wanted = [name for name in sizes if is_ours(name)]
    total = sum(sizes[name] for name in wanted)
    if total > MOST or sizes[LIST] > reading.RECORD or len(wanted) > MOST_FILES:
        raise RunError(f"{where} has {len(wanted):,} files of {total:,} bytes, more than a run has: it is not fetched")
    with reaching(where), progress(f"fetching {where}", total, unit="B") as advance:
        for name in (LIST, *wanted):
            api.hf_hub_download(where.repository, name, revision=commit, local_dir=folder)
            advance(sizes[name] if name != LIST else 0)
    copies.check(where, folder, wanted)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes
