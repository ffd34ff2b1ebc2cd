"""The runs that the app shows: those of the folders it was given, each with an id, and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterfeit.errors import InputError
from counterfeit.hub import is_address, local
from counterfeit.runs import RunFolder

OWN = ".app"  # folder of what the app itself stores, in the folder of runs


@dataclass(frozen=True)
class Shelved:
    """A run in the listing.

    Attributes:
        id: stays the same when the app is started again; pages and links name the run by it.
        folder: its folder.
    """

    id: str
    folder: RunFolder

    @classmethod
    def of(cls, folder: RunFolder) -> Shelved:
        """A folder with its id, whether it is there yet or not."""
        return cls(_id(folder), folder)


class Shelf:
    """Folders of runs, and runs.

    Attributes:
        home: the folder in which the app creates runs.
        own: the folder for what the app itself stores, which may not exist yet.
    """

    def __init__(self, places: Sequence[str | Path]) -> None:
        """Raises InputError: a place is a file, or names a run that cannot be fetched."""
        self._places = [RunFolder(local(place)) for place in places or ["runs"]]
        for place in self._places:
            if place.path.exists() and not place.path.is_dir():
                raise InputError(f"{place} is not a folder: pass folders of runs")
        homes = [place.path for place in self._places if not place.holds_run()]
        own = [RunFolder(place).path.parent for place in places if not is_address(place)]
        self.home = [*homes, *own, RunFolder("runs").path][0]
        self.own = self.home / OWN

    def runs(self) -> list[Shelved]:
        """The runs that are there now, by name."""
        found = {path.resolve(): RunFolder(path) for path in self._found()}
        return [Shelved.of(folder) for folder in found.values()]

    def folder(self, id: str) -> RunFolder:
        """The folder of a run by its id. Raises InputError: it is not, or no longer, in the listing."""
        for run in self.runs():
            if run.id == id:
                return run.folder
        raise InputError("this run is not there, or not any more: see the list of runs")

    def _found(self) -> Iterator[Path]:
        """Folders with a run.json, and folders in them as a grid makes; none that a link leads out of its place to."""
        for place in self._places:
            if place.holds_run():
                yield place.path
                continue
            for path in _folders(place.path):
                if (path / "run.json").is_file():
                    yield path
                else:
                    yield from (inner for inner in _folders(path) if (inner / "run.json").is_file())


def _folders(path: Path) -> list[Path]:
    """The folders in a folder that are no links and not hidden, sorted; none where it cannot be read."""
    try:
        return sorted(
            one for one in path.iterdir() if one.is_dir() and not one.is_symlink() and not one.name.startswith(".")
        )
    except OSError:
        return []


def _id(folder: RunFolder) -> str:
    """A word that says the name, and a digest of the place, which keeps runs of one name apart."""
    name = re.sub("[^a-z0-9]+", "-", folder.path.name.lower()).strip("-")[:60]
    digest = hashlib.sha256(os.fsencode(folder.path)).hexdigest()
    return f"{name}-{digest[:10]}"
