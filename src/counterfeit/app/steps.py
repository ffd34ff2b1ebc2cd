"""GAN Lab's lesson on a run's page: one optimizer step at a time, by a process beside the server: see `lesson`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from counterfeit.app.room import Room, changes, shelf
from counterfeit.errors import InputError
from counterfeit.models.plugins import files

MOST_STEPS = 50  # at once
MOST_LESSONS = 2  # at a time
IDLE, PATIENCE = 300.0, 120.0  # seconds until one that is not asked, or does not answer, is ended


@dataclass
class Taught:
    """A process that teaches; it ends when its stdin does, so at the latest with the server."""

    process: subprocess.Popen[str]
    asked: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, steps: int) -> dict[str, Any]:
        """What it says after so many steps. Raises InputError."""
        assert self.process.stdin and self.process.stdout
        with self.lock:
            self.asked = time.monotonic()
            timer = threading.Timer(PATIENCE, self.process.kill)
            timer.start()
            try:
                self.process.stdin.write(f"{steps}\n")
                self.process.stdin.flush()
                found: dict[str, Any] = json.loads(self.process.stdout.readline())
            except (OSError, ValueError):  # it has ended, maybe by another request, or in the middle of a line
                found = {"error": "the lesson has ended: begin it again"}
            finally:
                timer.cancel()
        if "error" in found:
            self.end()
            raise InputError(str(found["error"]))
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass


_taught: dict[str, Taught] = {}
_lock = threading.Lock()


def step(request: Request, posted: dict[str, Any]) -> Response:
    """Take steps of a GAN in memory, and answer with what its judge says."""
    id, steps = str(posted.get("run")), posted.get("steps", 1)
    folder = shelf(request).folder(id)
    if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
        raise InputError(f"take 1 to {MOST_STEPS} steps at once")
    if not folder.holds_checkpoint():
        raise InputError("this run has no checkpoint yet: wait for the end of its first epoch")
    return JSONResponse(_of(id, str(folder.path)).answer(steps))


def again(request: Request, posted: dict[str, Any]) -> Response:
    """Forget what was trained on: the next step begins at the run's checkpoint."""
    with _lock:
        found = _taught.pop(str(posted.get("run")), None)
    if found is not None:
        found.end()
    return JSONResponse({})


def _of(id: str, path: str) -> Taught:
    """The lesson of a run, begun if there is none; those that nobody asks are ended."""
    with _lock:
        for other, taught in list(_taught.items()):
            if taught.process.poll() is not None or time.monotonic() - taught.asked > IDLE:
                _taught.pop(other).end()
        if id not in _taught:
            if len(_taught) >= MOST_LESSONS:
                oldest = min(_taught, key=lambda one: _taught[one].asked)
                _taught.pop(oldest).end()
            process = subprocess.Popen(
                [sys.executable, "-m", "counterfeit.app.lesson", path, *files()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
            _taught[id] = Taught(process)
        return _taught[id]


ROOM = Room([changes("/lesson/step", step), changes("/lesson/again", again)])
