"""What the pages say of a run: its state, how far it is, its newest pictures and scores."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from counterfeit.app.jobs import ENDED, QUEUED, Job, Queue
from counterfeit.app.shelf import Shelved
from counterfeit.app.tail import follow
from counterfeit.errors import InputError
from counterfeit.runs import RunFolder, RunRecord
from counterfeit.runs.asking import can_be_asked
from counterfeit.runs.checkpoint import read_index
from counterfeit.runs.log import EpochScore, LogRow, Steps, Trouble
from counterfeit.scoring.score import stored
from counterfeit.system.reading import Malformed

State = Literal["waiting", "starting", "training", "stopped", "finished", "failed", "unreadable"]
GRID = re.compile(r"epoch-([0-9]{4,9})\.png")
SETTLED = 2  # steps after which the speed of a run is known


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch, step: of the last row of its log; 0 before the first.
        epochs, steps: of the whole run; of the steps an estimate, or None where there is none yet.
        share: of the run that is done, 0 to 1.
        seconds_left: None where it does not train, or its speed is not known yet.
        images_per_s: of the last row that says it.
    """

    epoch: int
    step: int
    epochs: int
    steps: int | None
    share: float
    seconds_left: float | None
    images_per_s: float | None


@dataclass(frozen=True)
class View:
    """A run as a page shows it; of one that waits to be made, or cannot be read, the record is None.

    Attributes:
        id: see `Shelf`.
        folder: its folder.
        state: in a word.
        ours: whether the app started it.
        said: what is wrong, in one line; "" for nothing.
        epochs: of its sample grids, ascending.
    """

    id: str
    folder: RunFolder
    state: State
    ours: bool = False
    said: str = ""
    record: RunRecord | None = None
    progress: Progress | None = None
    score: EpochScore | None = None
    troubles: tuple[Trouble, ...] = ()
    epochs: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.path.name

    @property
    def can_stop(self) -> bool:
        """Whether the app started it, or it can be asked; or it waits."""
        return self.ours or (self.state == "training" and can_be_asked(self.folder))

    @property
    def can_resume(self) -> bool:
        return self.state in ("stopped", "failed") and self.record is not None


def view(run: Shelved, queue: Queue) -> View:
    """A run of the shelf as it is now."""
    folder, job = run.folder, queue.about(run.folder.path)
    try:
        record = folder.read_record()
    except InputError as error:
        return View(run.id, folder, "unreadable", said=str(error))
    rows, _ = follow(folder)
    state = _state(record, folder, job)
    failed = job is not None and job.failed and record.finished is None
    return View(
        run.id,
        folder,
        state,
        ours=job is not None and job.state != ENDED,
        said=queue.last_words(job) if failed and job is not None else "",
        record=record,
        progress=progress(record, folder, rows, state == "training"),
        score=newest_score(folder, rows),
        troubles=tuple(row for row in rows if isinstance(row, Trouble)),
        epochs=grids(folder),
    )


def waiting(run: Shelved, job: Job, queue: Queue) -> View:
    """A run whose folder is not there yet, by the job that will make it."""
    state: State = "waiting" if job.state == QUEUED else "failed" if job.state == ENDED else "starting"
    return View(run.id, run.folder, state, ours=True, said=queue.last_words(job) if job.state == ENDED else "")


def _state(record: RunRecord, folder: RunFolder, job: Job | None) -> State:
    if job is not None and job.state == QUEUED:
        return "waiting"
    if folder.is_held():
        return "training"
    if job is not None and job.state != ENDED:
        return "starting"
    if record.finished is not None:
        return "finished"
    return "failed" if job is not None and job.failed else "stopped"


def progress(record: RunRecord, folder: RunFolder, rows: Sequence[LogRow], trains: bool) -> Progress:
    """How far a run is, by its log and its checkpoint."""
    last = rows[-1] if rows else None
    epoch, step = (last.epoch, last.step) if last else (0, 0)
    epochs, steps = record.config.epochs, record.config.steps or _steps(record, folder)
    share = 1.0 if record.finished else min(1.0, step / steps) if steps else 0.0
    left = _seconds_left(record, folder, step, steps) if trains and steps else None
    rates = [row.images_per_s for row in rows[-5:] if isinstance(row, Steps)]
    return Progress(epoch, step, epochs, steps, share, left, rates[-1] if rates else None)


def _steps(record: RunRecord, folder: RunFolder) -> int | None:
    """Of a run whose length is in epochs: by the steps that its epochs have taken so far, or by the images."""
    with suppress(InputError):
        index = read_index(folder.checkpoint)
        if index is not None and index.epoch:
            return round(index.step / index.epoch * record.config.epochs)
    return record.data.n // record.config.batch_size * record.config.epochs


def _seconds_left(record: RunRecord, folder: RunFolder, step: int, steps: int) -> float | None:
    """By the time that the steps have taken since the run was last started; None before there are some."""
    made = record.resumed_by[-1] if record.resumed_by else record.made_by
    first = made.get("from_step", 0)
    with suppress(OSError, ValueError, KeyError, TypeError):
        until = folder.log_file.stat().st_mtime
        took = until - datetime.fromisoformat(made["time"]).timestamp()
        if step - first >= SETTLED and took > 0:
            return max(0.0, (steps - step) * took / (step - first) - (time.time() - until))
    return None


def newest_score(folder: RunFolder, rows: Sequence[LogRow]) -> EpochScore | None:
    """The FID that the run's samples have: as it was scored last, or while it trained."""
    logged = next((row for row in reversed(rows) if isinstance(row, EpochScore)), None)
    found: list[tuple[float, EpochScore]] = []
    for path in folder.path.glob("scores/*.json"):
        with suppress(OSError, Malformed, ValueError):
            score = stored(path)
            of = score.receipt.get("generated") or {}
            for name, metric in score.metrics.items():
                if name.startswith("FID["):
                    row = EpochScore(of.get("epochs_done", 0), of.get("step", 0), name, metric.value)
                    found.append((path.stat().st_mtime, row))
    best = max(found, key=lambda one: one[0], default=None)
    return best[1] if best is not None and (logged is None or best[1].step >= logged.step) else logged


def grids(folder: RunFolder) -> tuple[int, ...]:
    """The epochs that have a sample grid, ascending."""
    with suppress(OSError):
        names = (GRID.fullmatch(path.name) for path in folder.samples.iterdir())
        return tuple(sorted(int(name[1]) for name in names if name))
    return ()


def grid(folder: RunFolder, epoch: int) -> Path:
    """The file of a sample grid. Raises InputError: there is none, or it is a link, which may lead anywhere."""
    path = folder.samples / f"epoch-{epoch:04d}.png"
    if path.is_symlink() or folder.samples.is_symlink() or not path.is_file():
        raise InputError("there is no such picture, or not any more")
    return path
