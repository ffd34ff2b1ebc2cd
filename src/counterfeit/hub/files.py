"""Which files of a run are on the hub: text, tensors and pictures that this package reads, and no code."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from counterfeit.runs.folder import RunFolder

LIST = "files.json"  # SHA-256 and size of each of the run's files, on the hub only
CARD, GRID = "README.md", "grid.png"  # on the hub only
OURS = re.compile(
    r"run\.json|log\.jsonl|curves\.png"
    r"|checkpoint/(?:checkpoint\.json|[a-z]+-[0-9]{7,12}\.safetensors)"
    r"|samples/(?:epoch|reconstruction)-[0-9]{4,9}\.png"
    r"|samplers/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.safetensors"
    r"|scores/[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,199}\.json"
)
MOST_FILES = 10_000


def is_ours(name: str) -> bool:
    """Whether a run has files of this name, relative to its folder; none that leads out of it."""
    return OURS.fullmatch(name) is not None


def of_run(folder: RunFolder) -> tuple[dict[str, Path], list[str]]:
    """The files that go to the hub, by their names there; and those that stay here."""
    go, stay = {}, []
    for path in sorted(folder.path.rglob("*")):
        name = path.relative_to(folder.path).as_posix()
        if path.is_symlink() or path.is_file():
            if is_ours(name) and not path.is_symlink():
                go[name] = path
            elif not name.startswith("."):
                stay.append(name)
    return go, stay


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()
