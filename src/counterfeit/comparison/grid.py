"""Define what to compare: a grid file, or existing runs."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from counterfeit import data as datasets
from counterfeit.errors import InputError
from counterfeit.hub import is_address, local
from counterfeit.models import MODELS, ModelSettings
from counterfeit.runs import RunFolder, shared
from counterfeit.settings import LENGTHS, ScoreConfig
from counterfeit.system import paths
from counterfeit.system.arguments import listed, shown

T = TypeVar("T")
MOST_BYTES = 1 << 20  # of a grid file


@dataclass(frozen=True)
class Member:
    """One run of a comparison, trained or not.

    Attributes:
        model: name of the model.
        config: settings of the run.
        path: path or URL of its run folder: see `runs.shared`; or its name, such as zoo:NAME, as `hub.local` takes it.
    """

    model: str
    config: ModelSettings
    path: str

    def __str__(self) -> str:
        return f"{self.model} on {self.config.data}, seed {self.config.seed}"


@dataclass(frozen=True)
class Grid:
    """What is compared.

    Attributes:
        title: title of the report.
        members: in the order of training: seed by seed, so that a stopped grid is complete for some seeds.
        home: folder or URL for the results.
        trains: whether missing runs are trained; otherwise all members must be finished.
        score: how they are scored.
    """

    title: str
    members: tuple[Member, ...]
    home: str
    trains: bool
    score: ScoreConfig = field(default_factory=ScoreConfig)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a grid file."""

    models: list[str] | str
    data: list[str] | str
    seeds: list[int] | int = 0
    out: str | None = None
    train: dict[str, Any] = {}
    score: dict[str, Any] = {}


def read_grid(path: str | Path) -> Grid:
    """Read a grid from a TOML file.

        models = ["vae", "gan"]  # or "vae, gan"
        data = ["mnist"]
        seeds = [0, 1, 2]        # or one number
        out = "runs/mine"        # by default runs/NAME of the file; relative to the current folder; or s3://bucket/mine
        [train]                  # options of `counterfeit train`, for every run
        epochs = 10
        [train.gan]              # and for one model
        lr = 2e-4
        [score]                  # options of `counterfeit score`
        n = 10000

    Raises:
        InputError: the file cannot be read, or anything in it is wrong; nothing has been trained then.
    """
    path = Path(paths.typed(path))
    file = _read(path)
    try:
        home = paths.typed(file.out or Path("runs") / path.stem)
        return Grid(path.stem, tuple(_members(file, home)), home, True, ScoreConfig.of(file.score))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path) -> _File:
    """Read the file and check every type. Raises InputError; never opens a pipe or device, which may not end."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path} is not a regular file: pass a grid file or run folders")
        if found.st_size > MOST_BYTES:
            raise InputError(f"{path} has {found.st_size:,} bytes, and a grid file has at most {MOST_BYTES:,}")
        return msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): pass a grid file or run folders") from None
    except RecursionError:
        raise InputError(f"{path} has lists or tables nested too deep: a grid file has two levels") from None
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        known = ", ".join(_File.__struct_fields__)
        raise InputError(f"{path}: {error}; a grid file has {known}") from None


def _several(values: Sequence[T], what: str) -> Sequence[T]:
    """The values. Raises InputError if there are none, or one occurs twice."""
    if not values or len(set(values)) < len(values):
        raise InputError(f"{what} is {shown(values)}; it must be a list of one or more values, each once")
    return values


def _members(file: _File, home: str) -> list[Member]:
    common = {name: value for name, value in file.train.items() if not isinstance(value, dict)}
    of_model = {name: value for name, value in file.train.items() if isinstance(value, dict)}
    for settings in (common, *of_model.values()):
        taken = {"data", "seed"} & set(settings)
        if taken:
            raise InputError(f"{taken.pop()} is not allowed in [train]; use the grid's own list, data or seeds")
    models = _several(listed(file.models, "models"), "models")
    sources = _several(listed(file.data, "data") if isinstance(file.data, str) else file.data, "data")
    seeds = _several([file.seeds] if isinstance(file.seeds, int) else file.seeds, "seeds")
    for model in models:
        MODELS[model]
    stray = [name for name in of_model if name not in models]
    if stray:
        raise InputError(f"[train.{stray[0]}] belongs to no model of this grid; its models are {', '.join(models)}")
    for data in sources:
        datasets.splits(data)  # raises for an unknown data set or path
    if len({datasets.label(data) for data in sources}) < len(sources):
        raise InputError(f"two of the data sets {', '.join(sources)} would share a run folder: rename one")
    members = []
    for seed, data, model in itertools.product(seeds, sources, models):
        own = of_model.get(model, {})
        others = {name: value for name, value in common.items() if not (name in LENGTHS and own.keys() & {*LENGTHS})}
        settings = {**others, **own, "data": paths.typed(data), "seed": seed}
        config = MODELS[model].changed(MODELS[model].settings, settings)
        members.append(Member(model, config, shared.joined(home, f"{model}-{datasets.label(data)}-s{seed}")))
    return members


def of_runs(places: Sequence[str | Path]) -> Grid:
    """A grid of existing runs; a folder of runs stands for all of them.

    Raises InputError if a path contains no run.
    """
    if not places:
        raise InputError("nothing to compare: pass run folders, a folder of runs, or a grid file .toml")
    found = [one for place in places for one in _named(place)]
    once = {folder.path.resolve(): (name, folder) for name, folder in found}  # a run named twice counts once
    records = [(name, folder.read_record()) for name, folder in once.values()]
    members = tuple(Member(record.model, record.config, name) for name, record in records)
    title = ", ".join(str(path) for path in places) if len(places) < 4 else f"{len(members)} runs"
    return Grid(title, members, "comparison", False)


def _named(place: str | Path) -> list[tuple[str, RunFolder]]:
    """The run, or the runs of a folder, each with its name: of a run that is fetched, what was typed."""
    path = Path(paths.typed(local(place)))
    if RunFolder(path).holds_run():
        folder = RunFolder(path)
        return [(str(place if is_address(place) else folder), folder)]
    inside = sorted(p for p in path.iterdir() if RunFolder(p).holds_run()) if path.is_dir() else []
    if not inside:
        raise InputError(f"{path} is not a run and contains none: pass run folders, or a grid file .toml")
    return [(str(folder), folder) for folder in map(RunFolder, inside)]
