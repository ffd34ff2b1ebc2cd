"""A run's folder and what lies where in it.

run.json          settings, model, data, provenance
log.jsonl         one row a log event
checkpoint/       safetensors + checkpoint.json
samples/*.png     pictures, one an epoch
curves.png        losses over the steps
scores/*.json     what `counterfeit score`, `cas` and `likelihood` found
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import msgspec

from counterfeit import paths
from counterfeit.config import Config, from_dict
from counterfeit.console import say
from counterfeit.data import DATASETS
from counterfeit.errors import InputError, RunError
from counterfeit.files import write_atomic, write_json


@dataclass(frozen=True)
class DataRecord:
    """Which images a run was trained on; name, split, digest and kind as in ImageSet, n of the training split."""

    name: str
    split: str
    n: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    digest: str
    kind: str = ""
    path: str | None = None
    """Of a folder or .npz file, absolute; as it was typed it is in the settings."""


@dataclass(frozen=True)
class RunRecord:
    """run.json."""

    model: str
    config: Config
    data: DataRecord
    made_by: dict[str, Any]
    """Provenance of the process that started the run."""
    resumed_by: list[dict[str, Any]]
    """Provenance of those that continued it, each with the step it continued from."""
    finished: str | None = None
    """When training came to the end of config.epochs, UTC; None while it has not."""


class RunFolder:
    """Paths and records of one run; they stay its own wherever the process goes on."""

    def __init__(self, path: str | Path) -> None:
        self.path = paths.absolute(path)
        self._typed = str(Path(paths.typed(path)))
        self.checkpoint = self.path / "checkpoint"
        self.samples = self.path / "samples"
        self.log_file = self.path / "log.jsonl"
        self.record_file = self.path / "run.json"
        self.curves = self.path / "curves.png"

    def __str__(self) -> str:
        return self._typed

    def shown(self, path: Path) -> Path:
        """A path in this folder, as the user typed that of the folder."""
        return Path(self._typed) / path.relative_to(self.path)

    def finished(self) -> bool:
        """Whether the run has come to the end of its epochs; RunError when there is none."""
        return self.read_record().finished is not None

    def holds_run(self) -> bool:
        return self.record_file.exists()

    def check_free(self) -> None:
        """RunError when something is in the way of a new run."""
        if self.holds_run():
            raise RunError(f"{self} holds another run: pass another --out, or --resume to continue that one")
        if self.path.is_file():
            raise RunError(f"{self} is a file, not a folder: pass another --out")
        if self.path.exists() and any(not p.name.startswith(".") for p in self.path.iterdir()):
            raise RunError(f"{self} is not empty and holds no run: pass another --out")

    def create(self) -> None:
        """Make the folder of a new run, empty: until run.json is in it, a kill leaves nothing in the way of another.

        Raises OSError.
        """
        self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against other processes; the lock ends with the process, however it ends."""
        try:
            with filelock.FileLock(self.path / ".lock", blocking=False):
                yield
        except filelock.Timeout:
            raise RunError(f"another process is training into {self}: wait for it, or pass another --out") from None

    def wait_until_free(self, seconds: float) -> None:
        """Until no other process holds the folder: one that has just been told to stop, or killed, may still do.

        After that time it is as it is: who locks the folder is told.
        """
        if (self.path / ".lock").exists():
            # OSError: a folder that may only be read, in which nobody trains; or a file system that has no locks.
            with (
                suppress(filelock.Timeout, OSError, NotImplementedError),
                filelock.FileLock(self.path / ".lock", timeout=seconds),
            ):
                pass

    def write_record(self, record: RunRecord) -> None:
        write_json(self.record_file, msgspec.to_builtins(record))

    def read_record(self) -> RunRecord:
        """run.json with every type checked; RunError names the fault."""
        try:
            values = json.loads(self.record_file.read_bytes())
        except FileNotFoundError:
            raise RunError(f"{self} holds no run: {self.record_file} is missing; check the path") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.record_file} cannot be read ({error}): mend it or train again") from None
        if not isinstance(values, dict):
            raise RunError(f"{self.record_file} is not a JSON object: mend it or train again")
        try:
            return _with_kind(from_dict(RunRecord, values, str(self.record_file)))
        except InputError as error:
            raise RunError(f"{error}; mend it or train again") from None

    def write_score(self, name: str, score: dict[str, Any]) -> Path | None:
        """Store a score as scores/NAME.json; where that cannot be, say so and return None: the score is still good."""
        path = self.path / "scores" / f"{name}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            write_json(path, score)
        except OSError as error:
            say(f"this score is not stored, since {path} cannot be written ({error.strerror or error})")
            return None
        return path

    def append_log(self, row: dict[str, Any]) -> None:
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """All whole rows of log.jsonl, oldest first; a last line that a kill cut short is left out."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]  # what follows the last newline was cut short, or is empty

    def cut_log(self, step: int) -> None:
        """Drop the rows that came after `step`: they will be made again."""
        kept = [row for row in self.read_log() if row["step"] <= step]
        write_atomic(self.log_file, "".join(json.dumps(row) + "\n" for row in kept).encode())


def _with_kind(record: RunRecord) -> RunRecord:
    """The record; of a run that was made before run.json kept the kind of the data, with the kind added."""
    if record.data.kind:
        return record
    data = record.config.data
    name = record.data.name
    if data in DATASETS:
        kind = "dataset"
    elif data == "array":
        kind = "array"
    else:
        kind = "npz" if data.lower().endswith(".npz") else "folder"
        name = f"./{name}" if name in DATASETS else name
    return replace(record, data=replace(record.data, kind=kind, name=name))
