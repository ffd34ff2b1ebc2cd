"""What a tracker is: the interface that every one has, and which there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from counterfeit.errors import InputError
from counterfeit.registry import Registry
from counterfeit.runs.log import LogRow, Trouble
from counterfeit.scoring import Score
from counterfeit.system.arguments import listed

PROJECT = "counterfeit"  # the name of the project, or experiment, unless the tracker's own variable says another
ENDS = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class About:
    """What a record begins with.

    Attributes:
        name: of the run folder.
        folder: the run folder, absolute.
        settings: those of the run, of plain types.
        facts: the model, the images and their digest, the versions; none has the name of a setting.
        started: when the run began; "" for one that does not say.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    facts: dict[str, str]
    started: str


class Tracker(ABC):
    """A record of one run in another program. Each method may raise whatever that program raises.

    Attributes:
        buffers: whether rows and scores are only taken, and handed over by `flush`.
    """

    buffers = False

    @abstractmethod
    def begin(self, about: About, earlier: str | None) -> str:
        """Open the record; go on with an earlier one if it is still there. Returns the record's identifier."""

    @abstractmethod
    def row(self, row: LogRow) -> None:
        """A row of log.jsonl. Steps never fall within one record."""

    @abstractmethod
    def picture(self, name: str, step: int, path: Path) -> None:
        """A grid of images, PNG, of the end of an epoch."""

    @abstractmethod
    def score(self, name: str, step: int, score: Score, path: Path) -> None:
        """A stored score with its receipt, which is the file."""

    def flush(self) -> None:  # noqa: B027  # most have nothing to do
        """Hand over what has been taken so far."""

    @abstractmethod
    def end(self, how: str) -> None:
        """Close the record; `how` is one of ENDS."""

    def abandon(self) -> None:
        """Close the record after a failure, as far as that goes."""
        self.end("failed")

    @abstractmethod
    def where(self) -> str:
        """How to look at the record: a command or an address."""


@dataclass(frozen=True)
class Entry:
    """A tracker that can be asked for: the module here that has its class, and the package that this needs."""

    build: str
    package: str


TRACKERS: Registry[Entry] = Registry("tracker")
for _name, _class in (("tensorboard", "TensorBoard"), ("wandb", "WeightsAndBiases"), ("mlflow", "MLflow")):
    TRACKERS.add(_name, Entry(f"counterfeit.tracking.{_name}:{_class}", _name))


def chosen(names: str | Sequence[str] | None, option: str = "--track") -> list[str]:
    """The names of trackers, each once. Raises InputError for an unknown one, or where its package is missing."""
    asked = [] if names is None else list(dict.fromkeys(TRACKERS.named(name) for name in listed(names, option)))
    for name in asked:
        package = TRACKERS[name].package
        found = find_spec(package)
        if found is None or found.origin is None:  # without an origin it is a folder of that name, as wandb leaves one
            raise InputError(f"{option} {name} needs {package}, which is missing: pip install 'counterfeit[{name}]'")
    return asked


def made(name: str) -> Tracker:
    """A tracker, ready to begin. Its package is imported here."""
    module, _, kind = TRACKERS[name].build.partition(":")
    tracker: Tracker = getattr(import_module(module), kind)()
    return tracker


def values(row: LogRow) -> dict[str, float]:
    """The numbers of a row by their names in log.jsonl, without the step; of a trouble only the epoch."""
    if isinstance(row, Trouble):
        return {"epoch": row.epoch}
    return {name: value for name, value in row.to_json().items() if name != "step"}
