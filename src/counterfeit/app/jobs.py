"""A queue of commands on disk: what is asked for, what runs, and how it ended. One worker does them one by one.

A job is a file of JSON; what its command prints is in a file beside it. Server and worker are processes of their own,
and each may end, or be killed, at any moment: the other goes on, and the queue is as it was. Nothing heavy is imported
here, since the worker waits in memory for as long as a training takes.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import filelock

from counterfeit.errors import InputError
from counterfeit.system import reading
from counterfeit.system.files import write_json
from counterfeit.system.reading import Malformed

QUEUED, RUNNING, ENDED = "queued", "running", "ended"
FINE = (0, 130)  # exit codes of a command that has ended well, or was stopped
MOST_QUEUED = 50
MOST_KEPT = 200  # jobs that have ended
NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\.json")
MOST_BYTES = 1 << 20  # of a job
LAST = 4096  # bytes at the end of what a command has printed
_workers: list[subprocess.Popen[bytes]] = []  # those that this process has started: somebody has to wait for them


@dataclass(frozen=True)
class Job:
    """A command that was asked for.

    Attributes:
        id: sorts by the time when it was asked for.
        run: absolute path of the run folder that it is about.
        arguments: those of the command, after `counterfeit`.
        state: QUEUED, RUNNING or ENDED.
        pid: of its process, once it runs.
        code: its exit code; None as long as there is none, or where its worker was killed.
    """

    id: str
    run: str
    arguments: tuple[str, ...]
    state: str = QUEUED
    pid: int | None = None
    code: int | None = None

    @property
    def failed(self) -> bool:
        return self.state == ENDED and self.code is not None and self.code not in FINE


class Queue:
    """The jobs in a folder, which is made when there is one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first; a file that is no job is left out."""
        found = []
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            if NAME.fullmatch(path.name):
                with suppress(OSError, Malformed):
                    found.append(reading.record(reading.content(path, MOST_BYTES), Job))
        return found

    def about(self, run: Path) -> Job | None:
        """The newest job of a run."""
        return next((job for job in reversed(self.jobs()) if job.run == str(run)), None)

    def add(self, run: Path, arguments: Sequence[str]) -> Job:
        """Put a command at the end of the queue. Raises InputError: there is one of this run, or there are too many."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._changing():
            open_ones = [job for job in self.jobs() if job.state != ENDED]
            if any(job.run == str(run) for job in open_ones):
                raise InputError("this run is being worked on, or waits for it: see the list of runs")
            if len(open_ones) >= MOST_QUEUED:
                raise InputError(f"{MOST_QUEUED} wait already: cancel one, or wait")
            job = Job(f"{time.time_ns():016x}-{secrets.token_hex(4)}", str(run), tuple(arguments))
            self._write(job)
            return job

    def cancel(self, run: Path) -> bool:
        """Take the job of a run out of the queue; False if it waits no more."""
        if not self.folder.is_dir():
            return False
        with self._changing():
            job = self.about(run)
            if job is None or job.state != QUEUED:
                return False
            self._file(job).unlink()
            return True

    def next(self) -> Job | None:
        """The oldest job that waits."""
        return next((job for job in self.jobs() if job.state == QUEUED), None)

    def is_done(self) -> bool:
        """Whether nothing waits and nothing runs, or is said to by a worker that was killed."""
        return all(job.state == ENDED for job in self.jobs())

    def begin(self, job: Job, start: Sequence[str]) -> subprocess.Popen[bytes] | None:
        """Start the command of a job; None if it was cancelled. It outlives this process."""
        with self._changing():
            if not self._file(job).exists():
                return None
            with self.output(job).open("wb") as printed:
                process = subprocess.Popen(
                    [*start, *job.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._write(replace(job, state=RUNNING, pid=process.pid))
            return process

    def end(self, job: Job, code: int | None) -> None:
        """Note how a job has ended, and forget the oldest that have."""
        with self._changing():
            self._write(replace(job, state=ENDED, pid=None, code=code))
            ended = [one for one in self.jobs() if one.state == ENDED]
            for old in ended[:-MOST_KEPT]:
                self._file(old).unlink(missing_ok=True)
                self.output(old).unlink(missing_ok=True)

    def output(self, job: Job) -> Path:
        """The file with what the command has printed."""
        return self.folder / f"{job.id}.txt"

    def last_words(self, job: Job) -> str:
        """The last line that the command has printed; "" if there is none."""
        with suppress(OSError), self.output(job).open("rb") as file:
            return _last_line(file)
        return ""

    def serve(self) -> None:
        """See to it that a worker does what there is: start one if there is none. Raises OSError."""
        if self.is_done() or self._served():
            return
        _workers[:] = [worker for worker in _workers if worker.poll() is None]
        with (self.folder / "worker.txt").open("ab") as printed:
            worker = subprocess.Popen(
                [sys.executable, "-m", "counterfeit.app.worker", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Only from 3.11: before it, a json.py in the current folder would be imported as Python's own.
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
        _workers.append(worker)

    def work(self) -> filelock.BaseFileLock:
        """The lock that a worker holds."""
        return filelock.FileLock(self.folder / "worker.lock", blocking=False)

    def _served(self) -> bool:
        try:
            with self.work():
                return False
        except filelock.Timeout:
            return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with filelock.FileLock(self.folder / "queue.lock", timeout=10):
            yield

    def _file(self, job: Job) -> Path:
        return self.folder / f"{job.id}.json"

    def _write(self, job: Job) -> None:
        write_json(self._file(job), asdict(job))


def _last_line(file: BinaryIO) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - LAST))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
