"""What is to be compared: a grid file, or runs that are there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from counterfeit import data as datasets
from counterfeit import paths
from counterfeit.config import Config, ScoreConfig
from counterfeit.errors import InputError
from counterfeit.recipes import RECIPES
from counterfeit.runs import RunFolder, shared


@dataclass(frozen=True)
class Member:
    """One run of a comparison, trained or not yet."""

    model: str
    config: Config
    path: str
    """Of its run folder, or a URL of one: see `runs.shared`."""

    def __str__(self) -> str:
        return f"{self.model} on {self.config.data}, seed {self.config.seed}"


@dataclass(frozen=True)
class Grid:
    """What is compared.

    Attributes:
        title: for the report.
        members: in the order in which they are trained: seed by seed, so that a stopped grid is whole for some seeds.
        home: folder, or a URL, for what comes out of it.
        trains: whether what is missing is trained; else all members must be finished.
        score: how they are scored.
    """

    title: str
    members: tuple[Member, ...]
    home: str
    trains: bool
    score: ScoreConfig = field(default_factory=ScoreConfig)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A grid file, as it is written."""

    models: list[str]
    data: list[str]
    seeds: list[int] = msgspec.field(default_factory=lambda: [0])
    out: str | None = None
    train: dict[str, Any] = {}
    score: dict[str, Any] = {}


def read_grid(path: str | Path) -> Grid:
    """A grid from a TOML file.

        models = ["vae", "gan"]
        data = ["mnist"]
        seeds = [0, 1, 2]
        out = "runs/mine"        # by default runs/NAME of the file; from the folder you are in; or s3://bucket/mine
        [train]                  # options of `counterfeit train`, for every run
        epochs = 10
        [train.gan]              # and for one model
        lr = 2e-4
        [score]                  # options of `counterfeit score`
        n = 10000

    Raises InputError: the file cannot be read, or anything in it is wrong; nothing has been trained then.
    """
    path = Path(paths.typed(path))
    try:
        file = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a grid file or run folders") from None
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        known = ", ".join(_File.__struct_fields__)
        raise InputError(f"{path}: {error}; a grid file has {known}") from None
    for name in ("models", "data", "seeds"):
        values = getattr(file, name)
        if not values or len(set(values)) < len(values):
            raise InputError(f"{path}: {name} is {values}; it must name one or more things, each once")
    try:
        home = paths.typed(file.out or Path("runs") / path.stem)
        return Grid(path.stem, tuple(_members(file, home)), home, True, ScoreConfig.of(file.score))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _members(file: _File, home: str) -> list[Member]:
    common = {name: value for name, value in file.train.items() if not isinstance(value, dict)}
    of_model = {name: value for name, value in file.train.items() if isinstance(value, dict)}
    for settings in (common, *of_model.values()):
        taken = {"data", "seed"} & set(settings)
        if taken:
            raise InputError(f"{taken.pop()} stands in [train]; a grid has a list of its own for it, data or seeds")
    for model in file.models:
        RECIPES[model]
    stray = [name for name in of_model if name not in file.models]
    if stray:
        raise InputError(f"[train.{stray[0]}] is for no model of this grid, which has {', '.join(file.models)}")
    for data in file.data:
        datasets.splits(data)  # raises for what is no data set and no path
    labels = {datasets.label(data) for data in file.data}
    if len(labels) < len(file.data):
        raise InputError(f"two of the data sets {', '.join(file.data)} would share a run folder: rename one")
    members = []
    for seed, data, model in itertools.product(file.seeds, file.data, file.models):
        settings = {**common, **of_model.get(model, {}), "data": paths.typed(data), "seed": seed}
        config = RECIPES[model].config.replace(settings)
        members.append(Member(model, config, shared.joined(home, f"{model}-{datasets.label(data)}-s{seed}")))
    return members


def of_runs(places: Sequence[str | Path]) -> Grid:
    """A grid of runs that are there; a folder of runs stands for all of them.

    Raises InputError: a path holds no run.
    """
    if not places:
        raise InputError("nothing to compare: name run folders, a folder of runs, or a grid file .toml")
    folders: list[RunFolder] = []
    for path in (Path(paths.typed(place)) for place in places):
        inside = sorted(p for p in path.iterdir() if RunFolder(p).holds_run()) if path.is_dir() else []
        if not RunFolder(path).holds_run() and not inside:
            raise InputError(f"{path} holds no run, and no folder in it does: name run folders, or a grid file .toml")
        folders += [RunFolder(path)] if RunFolder(path).holds_run() else map(RunFolder, inside)
    once = {folder.path.resolve(): folder for folder in folders}  # a run that is named twice is one run
    records = [(folder, folder.read_record()) for folder in once.values()]
    members = tuple(Member(record.model, record.config, str(folder)) for folder, record in records)
    title = ", ".join(str(path) for path in places) if len(places) < 4 else f"{len(members)} runs"
    return Grid(title, members, "comparison", False)
