"""A run's folder and what lies where in it.

run.json          settings, model, data, provenance
log.jsonl         one row a log event
checkpoint/       safetensors + checkpoint.json
samples/*.png     pictures, one an epoch
samplers/         fitted distributions of latents, safetensors
curves.png        losses over the steps
scores/*.json     what `counterfeit score`, `cas` and `likelihood` found
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

import filelock
import msgspec
from msgspec import Meta

from counterfeit.data import DATASETS
from counterfeit.data.place import AT_PATHS
from counterfeit.errors import InputError, RunError
from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.plugins import Plugin, code_of, plugin_of
from counterfeit.runs import log
from counterfeit.runs.checkpoint import INDEX
from counterfeit.runs.log import EpochScore, LogRow, Trouble
from counterfeit.settings import having, spelled_today
from counterfeit.system import paths, reading
from counterfeit.system.arguments import checked, shown
from counterfeit.system.console import say
from counterfeit.system.files import part_of, write_atomic, write_json
from counterfeit.system.reading import Malformed

WRITTEN = ("run.json", "log.jsonl", "curves.png")  # in the folder itself, atomically
PICTURE = re.compile(r"(epoch|reconstruction)-[0-9]{4,}\.png")  # in `samples`, while training
MOST_LOG = 256 << 20  # bytes of log.jsonl: a million rows
KINDS = ("dataset", *AT_PATHS, "array")  # of data, see ImageSet
LOOKED_AT = 0.3  # seconds that another may hold a folder without training in it: see `is_held`
_ASKING = threading.Lock()  # threads that ask would see each other
FIX = "fix it or train again"
FIX_LOG = "fix it, or remove it, which loses only the curves"

Count = Annotated[int, Meta(ge=1, le=reading.COUNT)]
Side = Annotated[int, Meta(ge=1, le=1 << 16)]  # channels, pixels


@dataclass(frozen=True)
class DataRecord:
    """Which images a run was trained on; name, split, digest and kind as in ImageSet, n of the training split."""

    name: str
    split: str
    n: Count
    shape: tuple[Side, Side, Side]
    classes: tuple[str, ...]
    digest: str
    kind: str = ""
    path: str | None = None
    """Of a folder or .npz file, absolute; as it was typed it is in the settings."""


@dataclass(frozen=True)
class RunRecord:
    """run.json."""

    model: str
    config: ModelSettings
    data: DataRecord
    made_by: dict[str, Any]
    """Provenance of the process that started the run."""
    resumed_by: list[dict[str, Any]]
    """Provenance of those that continued it, each with the step it continued from."""
    finished: str | None = None
    """When training came to its end, UTC; None while it has not."""

    @property
    def plugin(self) -> Plugin | None:
        """Where its model came from when it was trained; None for a model of ours."""
        return _plugin(self.made_by)


class MadeBy(TypedDict, total=False):
    """What is read of a provenance, none of which older versions need to have written."""

    time: str
    command: list[str]
    versions: dict[str, str]
    training_code: str | None
    plugin: Plugin
    code_revision: str | None
    machine: dict[str, str | int | float | bool | None]
    from_step: Annotated[int, Meta(ge=0, le=reading.COUNT)]


class RunFolder:
    """Paths and records of one run; they stay its own wherever the process goes on."""

    @checked
    def __init__(self, path: str | Path) -> None:
        self.path = paths.absolute(path)
        self._typed = str(Path(paths.typed(path)))
        self.checkpoint = self.path / "checkpoint"
        self.samples = self.path / "samples"
        self.samplers = self.path / "samplers"
        self.log_file = self.path / "log.jsonl"
        self.record_file = self.path / "run.json"
        self.curves = self.path / "curves.png"

    def __str__(self) -> str:
        return self._typed

    def shown(self, path: Path) -> Path:
        """A path in this folder, as the user typed that of the folder; another one as it is."""
        return Path(self._typed) / path.relative_to(self.path) if path.is_relative_to(self.path) else path

    def finished(self) -> bool:
        """Whether the run has come to its end; RunError when there is none."""
        return self.read_record().finished is not None

    def holds_run(self) -> bool:
        return self.record_file.exists()

    def holds_checkpoint(self) -> bool:
        return (self.checkpoint / INDEX).exists()

    def begun(self, model: str, config: ModelSettings, free: Collection[str] = ()) -> RunRecord | None:
        """The unfinished run of this model and these settings, for the same command to go on with; None for a new run.

        Those that are `free`, which the training chooses itself, may be others. A run without a checkpoint is begun
        again, by whichever command: it holds nothing that could be lost.

        Raises RunError: something is in the way, such as another run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self} is a file, not a folder: pass another --out")
        if not self.holds_run():
            if self.path.exists() and any(not _left_by_a_start(path) for path in self.path.iterdir()):
                raise RunError(f"{self} is not empty and not a run: pass another --out")
            return None
        record = self.read_record()
        if not self.holds_checkpoint():
            return None
        if (record.finished, record.model) == (None, model) and record.config == config.as_in(record.config, free):
            return record
        raise self.is_another()

    def is_another(self) -> RunError:
        """The error where the folder has another run than the one that is asked for."""
        return RunError(f"{self} contains another run: pass another --out, or --resume to continue that run")

    def create(self) -> None:
        """Make the folder of a new run. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)

    def clear(self, whole: bool) -> None:
        """Remove what killed processes have left of files of ours, and if `whole`, what a new run takes the place of.

        The folder is locked, and has no checkpoint where `whole` is asked for. Raises OSError.
        """
        for folder in (self.path, self.samples):
            for path in folder.iterdir() if folder.is_dir() else ():
                written = PICTURE.fullmatch(path.name) if folder == self.samples else path == self.log_file
                part = part_of(path.name)
                unfinished = part and (PICTURE.fullmatch(part) if folder == self.samples else part in WRITTEN)
                if (unfinished or (whole and written)) and path.is_file() and not path.is_symlink():
                    path.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against other processes; the lock ends with the process, however it ends.

        What was found in the folder before may have changed by then.
        """
        try:
            with filelock.FileLock(self.path / ".lock", timeout=LOOKED_AT):
                yield
        except filelock.Timeout:
            raise RunError(f"another process is training in {self}: wait for it, or pass another --out") from None

    def is_held(self) -> bool:
        """Whether a process is training in the folder. To ask is to hold it for a moment, which `lock` waits for."""
        with _ASKING, suppress(OSError, NotImplementedError):  # as in `wait_until_free`
            if (self.path / ".lock").exists():
                try:
                    with filelock.FileLock(self.path / ".lock", blocking=False):
                        return False
                except filelock.Timeout:
                    return True
        return False

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
        write_json(self.record_file, stored(record))

    def read_record(self) -> RunRecord:
        """run.json with every type checked; RunError names the fault."""
        try:
            return parsed(reading.content(self.record_file))
        except RunError as error:
            raise RunError(f"{self} {error}") from None
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{self} is not a run, since {self.record_file} is missing: check the path") from None
        except (OSError, Malformed) as error:
            raise RunError(f"{self.record_file} cannot be read ({reading.reason(error)}): {FIX}") from None

    def write_score(self, name: str, score: dict[str, Any]) -> Path | None:
        """Store a score as scores/NAME.json; where that cannot be, say so and return None: the score is still good."""
        path = self.path / "scores" / f"{name}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            write_json(path, score)
        except OSError as error:
            say(f"this score is not saved, since {path} cannot be written ({error.strerror or error})")
            return None
        return path

    def append_log(self, row: LogRow) -> None:
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row.to_json(), allow_nan=False) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """All whole rows of log.jsonl as they are written there: see `log_rows`."""
        return [row.to_json() for row in self.log_rows()]

    def log_rows(self) -> list[LogRow]:
        """All whole rows of log.jsonl, oldest first; a last line that a kill cut short is left out.

        Raises RunError: it cannot be read, or a row is not one that training writes.
        """
        rows: list[LogRow] = []
        try:
            lines = reading.content(self.log_file, MOST_LOG).split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{self.log_file} cannot be read ({reading.reason(error)}): {FIX_LOG}") from None
        for line in lines[:-1]:  # what follows the last newline was cut short, or is empty
            try:
                row = log.parsed(line)
                if rows and row.step < rows[-1].step:
                    raise Malformed(f"step {row.step:,} comes after step {rows[-1].step:,}")
            except Malformed as error:
                raise RunError(f"{self.log_file}, line {len(rows) + 1:,}: {error}; {FIX_LOG}") from None
            rows.append(row)
        return rows

    def cut_log(self, step: int, ends_epoch: Callable[[int], bool] = lambda step: True) -> None:
        """Drop the rows that came after `step`, which will be made again, and what was seen at no end of an epoch.

        Such was the end of a run of fewer --steps, in the middle of an epoch that goes on now.
        """
        rows = [row for row in self.log_rows() if row.step <= step]
        kept = [row.to_json() for row in rows if not isinstance(row, EpochScore | Trouble) or ends_epoch(row.step)]
        write_atomic(self.log_file, "".join(json.dumps(row) + "\n" for row in kept).encode())


def _left_by_a_start(path: Path) -> bool:
    """Whether it is no obstacle: hidden, as a lock is, or empty `samples`, which a kill left in version 0.1."""
    return path.name.startswith(".") or (path.name == "samples" and path.is_dir() and not any(path.iterdir()))


class _Stored(msgspec.Struct):
    """run.json as it is written: settings by owner. In version 0.1.0 every model had all settings, `config`."""

    model: str
    data: DataRecord
    made_by: dict[str, Any]
    resumed_by: list[dict[str, Any]]
    settings: dict[str, dict[str, Any]] = {}
    config: dict[str, Any] = {}
    finished: str | None = None


def stored(record: RunRecord) -> dict[str, Any]:
    """What is written to run.json."""
    values = msgspec.to_builtins(replace(record, config=None))  # type: ignore[arg-type]
    del values["config"]
    return {"model": values.pop("model"), "settings": record.config.by_owner(), **values}


def _plugin(made_by: dict[str, Any]) -> Plugin | None:
    return msgspec.convert(made_by["plugin"], Plugin) if "plugin" in made_by else None


def _settings(found: _Stored) -> ModelSettings:
    """The run's settings, of its model's type. Raises reading.Malformed; RunError where that is in another plugin."""
    plugin = _plugin(found.made_by)
    if plugin and found.model not in MODELS:
        raise RunError(f"is a run of {found.model}, a model of {plugin}, which is not loaded: {plugin.fix}")
    try:
        kind = type(MODELS[found.model].settings)
    except InputError as error:
        raise Malformed(str(error)) from None
    if not (found.settings or found.config):
        raise Malformed("'settings' is missing")
    known = having(kind)
    values = {name: value for part in found.settings.values() for name, value in part.items()}
    former = {name: value for name, value in spelled_today(found.config).items() if name in known}
    try:
        settings: ModelSettings = reading.converted(values or former, kind)
    except Malformed as error:
        here = plugin_of(found.model)
        if code_of(plugin) == code_of(here):
            raise
        raise RunError(
            f"is a run of {found.model} from {plugin or 'no plugin'}, and its settings are not those of {here} "
            f"({error}): {plugin.fix if plugin else 'leave out --plugin'}"
        ) from None
    return settings


def parsed(text: bytes) -> RunRecord:
    """The content of a run.json, every type checked. Raises reading.Malformed, and RunError as `_settings`."""
    found = reading.converted(reading.parsed(text), _Stored)
    for made in (found.made_by, *found.resumed_by):
        reading.converted(made, MadeBy)
    by = found.made_by, found.resumed_by, found.finished
    record = _with_kind(RunRecord(found.model, _settings(found), found.data, *by))
    if record.data.kind not in KINDS:
        raise Malformed(f"its data.kind is {shown(record.data.kind)}, and none of {', '.join(KINDS)}")
    if record.config.budget and not record.config.steps:
        raise Malformed(f"its budget is {record.config.budget}, and steps are missing")
    if record.data.n < record.config.batch_size:
        raise Malformed(f"--batch-size is {record.config.batch_size:,}, of {record.data.n:,} images")
    return record


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
