"""The page of all runs: cards that stay up to date, the form that starts a training, stop and resume."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from counterfeit.app import form
from counterfeit.app.jobs import ENDED, Job, Queue
from counterfeit.app.room import Room, changes, html, shelf, shows
from counterfeit.app.shelf import Shelf, Shelved
from counterfeit.app.view import View, view, waiting
from counterfeit.app.worker import is_alive
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.plugins import files
from counterfeit.runs import RunFolder
from counterfeit.runs.asking import ask_to_stop, can_be_asked

STOP = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
FIRST_MODEL = "vae"
SHOWN_ENDED = 5  # of the runs that failed before they had a folder


def trainings(of: Shelf) -> Queue:
    """The queue of trainings."""
    return Queue(of.own / "trainings")


def views(of: Shelf) -> list[View]:
    """All runs, those at work first, then the newest; and those that wait to be made."""
    queue = trainings(of)
    queue.serve()
    found = {run.folder.path: view(run, queue) for run in of.runs()}
    jobs = {Path(job.run): job for job in queue.jobs()}  # the newest of each
    unmade = [(path, job) for path, job in jobs.items() if path not in found]
    failed = [path for path, job in unmade if job.state == ENDED][:-SHOWN_ENDED]
    for path, job in unmade:
        if path not in failed and not (job.state == ENDED and not job.failed):
            found[path] = waiting(Shelved.of(RunFolder(path)), job, queue)
    order = {path: place for place, path in enumerate(jobs)}
    return sorted(found.values(), key=lambda one: (*_rank(one), order.get(one.folder.path, 0), one.name))


def _rank(one: View) -> tuple[int, float]:
    """Those at work first, then by the time of the last change, the newest first."""
    busy = {"training": 0, "starting": 0, "waiting": 1}
    if one.state in busy:
        return busy[one.state], 0.0
    try:
        return 2, -one.folder.record_file.stat().st_mtime
    except OSError:
        return 2, 0.0


def page(request: Request) -> Response:
    """Cards and form."""
    of = shelf(request)
    return html(request, "runs.html", runs=views(of), home=of.home, **_form(request, FIRST_MODEL))


def cards(request: Request) -> Response:
    """The cards alone, for a page that is open; 304 where they are as that page has them."""
    answer = html(request, "cards.html", runs=views(shelf(request)))
    answer.headers["etag"] = tag = f'"{hashlib.sha256(bytes(answer.body)).hexdigest()[:24]}"'
    return Response(status_code=304, headers={"etag": tag}) if request.headers.get("if-none-match") == tag else answer


def fields(request: Request) -> Response:
    """The fields of a model alone."""
    return html(request, "fields.html", **_form(request, request.query_params.get("model", FIRST_MODEL)))


def _form(request: Request, model: str) -> dict[str, Any]:
    return {
        "model": MODELS[model],
        "models": list(MODELS.complete().values()),
        "sources": form.sources(shelf(request)),
        "fields": form.form_of(model),
    }


def start(request: Request, posted: dict[str, Any]) -> Response:
    """Put a training into the queue; what is wrong is said by field."""
    of = shelf(request)
    try:
        model, settings, name = form.settings_of(of, posted)
        path = of.home / name
        if not posted.get("name"):
            path = _free(path, trainings(of))
        elif path.exists():
            raise form.Wrong({"name": "there is such a folder: choose another name"})
    except form.Wrong as wrong:
        return JSONResponse({"faults": wrong.faults})
    words = [*form.arguments(model, settings), f"--out={path}", *plugins()]
    put(trainings(of), path, words)
    return JSONResponse({"name": path.name})


def _free(path: Path, queue: Queue) -> Path:
    """The path, or with a number behind it, where no run is and none waits to be made."""
    taken = {job.run for job in queue.jobs() if job.state != ENDED}
    numbered = (path if n == 1 else path.with_name(f"{path.name}-{n}") for n in range(1, 10_000))
    return next(one for one in numbered if not one.exists() and str(one) not in taken)


def plugins() -> list[str]:
    """The options that name the files with models of the user's own which the app was started with."""
    return [f"--plugin={path}" for path in files()]


def put(queue: Queue, run: Path, words: list[str]) -> None:
    """Put a command into a queue, and see to it that somebody works there. Raises InputError."""
    try:
        queue.add(run, words)
        queue.serve()
    except OSError as error:
        raise InputError(f"{queue.folder}, the place of the queue, cannot be written ({error.strerror})") from None


def resume(request: Request, posted: dict[str, Any]) -> Response:
    """Put a run that was stopped into the queue."""
    of = shelf(request)
    folder = of.folder(str(posted.get("run")))
    record = folder.read_record()
    if record.finished is not None:
        raise InputError("this run is finished")
    if folder.is_held():
        raise InputError("this run is being trained")
    begun = ["--resume"] if folder.holds_checkpoint() else _again(record.model, record.config)
    put(trainings(of), folder.path, ["train", record.model, f"--out={folder.path}", *begun, *plugins()])
    return JSONResponse({"name": folder.path.name})


def _again(model: str, settings: Any) -> list[str]:
    """A run without a checkpoint is begun again, as the same command would."""
    return form.arguments(model, settings)[2:]


def stop(request: Request, posted: dict[str, Any]) -> Response:
    """Stop a training with a checkpoint, or take it out of the queue."""
    of = shelf(request)
    path = known(of, str(posted.get("run")))
    queue = trainings(of)
    if queue.cancel(path):
        return JSONResponse({"name": path.name})
    job = queue.about(path)
    if job is not None and job.state != ENDED and job.pid is not None:
        _signal(job)
    else:
        _ask(RunFolder(path))
    return JSONResponse({"name": path.name})


def known(of: Shelf, id: str) -> Path:
    """The folder of a run by its id, of one that waits to be made too. Raises InputError."""
    for job in trainings(of).jobs():
        if Shelved.of(RunFolder(job.run)).id == id and job.state != ENDED:
            return Path(job.run)
    return of.folder(id).path


def _ask(folder: RunFolder) -> None:
    """Ask a training to stop that was started elsewhere. Raises InputError: there is none, or it cannot be asked."""
    if not folder.is_held():
        raise InputError("nobody trains this run")
    if not can_be_asked(folder):
        raise InputError("this run is a part of a grid, or only starts: stop a grid where it was started")
    try:
        ask_to_stop(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): stop it where it was started") from None


def _signal(job: Job) -> None:
    """Ask the process of a job to stop."""
    if job.pid is not None and is_alive(job):
        os.kill(job.pid, STOP)


ROOM = Room(
    [
        shows("/", page),
        shows("/cards", cards),
        shows("/fields", fields),
        changes("/start", start),
        changes("/stop", stop),
        changes("/resume", resume),
    ],
    title="Runs",
    path="/",
)
