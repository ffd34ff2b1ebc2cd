"""The page that puts runs side by side: tables, charts whose points open their run, galleries of the same noise."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from counterfeit.app.contrast import DEVICE, contrast
from counterfeit.app.room import Room, changes, html, shelf, shows
from counterfeit.app.runs import plugins, put
from counterfeit.app.shelf import Shelf, Shelved
from counterfeit.app.view import View, view
from counterfeit.app.watch import named, scorings, trainings
from counterfeit.data import pixels
from counterfeit.errors import InputError
from counterfeit.run import Run
from counterfeit.system.files import Stamp, stamp

MOST_COMPARED = 40
SHOWN = 40  # samples of a run
MOST_KEPT = 128  # pictures
_pictures: dict[tuple[str, Stamp], bytes] = {}
_drawing = asyncio.Semaphore(1)  # what waits holds no thread


def page(request: Request) -> Response:
    """The runs that can be chosen; of those that are, what they have in common and where they differ."""
    of = shelf(request)
    asked = request.query_params.getlist("run")[:MOST_COMPARED]
    all_runs = [one for one in (view(run, trainings(of)) for run in of.runs()) if one.record is not None]
    chosen = [run for run in of.runs() if run.id in asked]
    found = contrast(chosen, "/runs/{}".format) if len(chosen) > 1 else None
    return html(
        request,
        "compare.html",
        groups=_by_data(all_runs),
        asked=[run.id for run in chosen],
        names={run.id: run.folder.path.name for run in chosen},
        found=found,
        styles=found.styles if found else {},
        galleries=_by_data([one for one in all_runs if one.id in asked and one.folder.holds_checkpoint()]),
        scoring=[run for run in chosen if _is_scored(of, run)],
    )


def _by_data(found: list[View]) -> dict[str, list[View]]:
    groups: dict[str, list[View]] = {}
    for one in found:
        assert one.record is not None
        groups.setdefault(one.record.data.name, []).append(one)
    return groups


def _is_scored(of: Shelf, run: Shelved) -> bool:
    """Whether its samples are being scored, or wait for it."""
    job = scorings(of).about(run.folder.path)
    return job is not None and job.state != "ended"


async def noise(request: Request) -> Response:
    """Samples of a run from the noise of seed 0, as a PNG: the same noise for every run."""
    run = await run_in_threadpool(named, request)
    async with _drawing:
        content = await run_in_threadpool(drawn, run)
    return Response(content, media_type="image/png")


def drawn(run: Shelved) -> bytes:
    """The picture, kept until the run's checkpoint changes. Raises InputError."""
    try:
        key = run.id, stamp((run.folder.checkpoint / "checkpoint.json").stat())
    except OSError:
        raise InputError("this run has no checkpoint yet") from None
    if key not in _pictures:
        opened = Run(run.folder.path, DEVICE)
        classes = opened.model.classes
        columns = classes if 0 < classes <= 20 else 8
        samples = opened.sample(SHOWN - SHOWN % columns, seed=0)
        buffer = io.BytesIO()
        pixels.to_pil(pixels.grid(samples, columns, gap=1, paper=128)).save(buffer, "PNG")
        while len(_pictures) >= MOST_KEPT:
            del _pictures[next(iter(_pictures))]
        _pictures[key] = buffer.getvalue()
    return _pictures[key]


def score(request: Request, posted: dict[str, Any]) -> Response:
    """Have runs scored that are not, in turn and all in the same way."""
    of = shelf(request)
    ids = posted.get("runs")
    if not isinstance(ids, list) or not 0 < len(ids) <= MOST_COMPARED:
        raise InputError(f"choose 1 to {MOST_COMPARED} runs")
    folders = [of.folder(str(id)) for id in ids]
    for folder in folders:
        with suppress(InputError):  # one that is being scored
            put(scorings(of), folder.path, ["score", str(folder.path), *plugins()])
    return JSONResponse({"runs": ids})


ROOM = Room(
    [shows("/compare", page), shows("/runs/{id}/noise.png", noise), changes("/compare/score", score)],
    title="Compare",
    path="/compare",
)
