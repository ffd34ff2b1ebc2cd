"""The page of a run, live: what it loses and scores, its sample grids over the epochs, what goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from counterfeit.app import curves, film
from counterfeit.app.jobs import ENDED, Queue
from counterfeit.app.limits import asker, network
from counterfeit.app.room import Room, changes, html, render, shelf, shows
from counterfeit.app.runs import plugins, put, trainings
from counterfeit.app.shelf import Shelf, Shelved
from counterfeit.app.tail import follow
from counterfeit.app.view import View, grid, view
from counterfeit.data import splits
from counterfeit.errors import InputError
from counterfeit.models.gan import AdversarialSettings
from counterfeit.runs import RunFolder
from counterfeit.runs.data import source_of
from counterfeit.scoring.score import Score, stored
from counterfeit.system.reading import Malformed

LOOK = 1.0  # seconds between two looks at a run, at least
SHARE = 0.05  # of one page's time, for looks, as long as none takes over SHARE * BEAT: a training needs the cores
BEAT = 15.0  # seconds after which a stream without news says that it is alive
MOST_STREAMS = 60
MOST_OF_ONE = 30  # of them for one address
_streams: Counter[str] = Counter()  # by address


def scorings(of: Shelf) -> Queue:
    """The queue of scores: they need not wait for a training to end."""
    return Queue(of.own / "scorings")


def named(request: Request) -> Shelved:
    """The run that the path names. Raises InputError."""
    return Shelved.of(shelf(request).folder(request.path_params["id"]))


def parts(request: Request, run: Shelved) -> dict[str, str]:
    """The parts of the page that change, by the id of their element, and the epochs with a sample grid, as JSON."""
    of = shelf(request)
    seen = view(run, trainings(of))
    rows, times = follow(run.folder)
    unit = seen.record.config.unit if seen.record else ""
    shown: dict[str, Any] = {
        "run": seen,
        "figures": curves.figures(run.id, times, rows, unit),
        "score": newest(run),
        "scoring": scoring(of, run),
        "ways": ways(seen),
    }
    return {
        "state": render(request, "run_state.html", **shown),
        "charts": render(request, "run_charts.html", **shown),
        "scores": render(request, "run_scores.html", **shown),
        "epochs": json.dumps(seen.epochs),
    }


def ways(seen: View) -> list[tuple[str, str]]:
    """Addresses and words of the links to other rooms, those that can take the run as it is now."""
    if seen.record is None or not seen.folder.holds_checkpoint():
        return []
    found = [(f"/explore/{seen.id}", "Explore it")]
    with suppress(InputError):
        if "test" in splits(source_of(seen.record, seen.name), seen.record.config.holdout):
            found.append((f"/judge?run={seen.id}#new-title", "Let people judge it"))
    return found


def newest(run: Shelved) -> Score | None:
    """The score that was stored last."""
    found = []
    for path in run.folder.path.glob("scores/*.json"):
        with suppress(OSError, Malformed):
            found.append((path.stat().st_mtime, path.name, stored(path)))
    return max(found, key=lambda one: one[:2])[2] if found else None


def scoring(of: Shelf, run: Shelved) -> str:
    """What there is to say of a score that was asked for: that it is computed, or failed; "" for nothing."""
    queue = scorings(of)
    queue.serve()
    job = queue.about(run.folder.path)
    if job is None:
        return ""
    if job.state != ENDED:
        return "Samples are being scored, which takes a minute or more." if job.pid else "Waits to be scored."
    return queue.last_words(job) if job.failed else ""


def page(request: Request) -> Response:
    """The run as it is now; events keep it up to date."""
    run = named(request)
    seen: View = view(run, trainings(shelf(request)))
    plays = seen.record is not None and isinstance(seen.record.config, AdversarialSettings)
    return html(request, "run.html", run=seen, parts=parts(request, run), plays=plays, films=film.ffmpeg() is not None)


async def events(request: Request) -> Response:
    """The parts of the page as server-sent events, each when it has changed."""
    if _are_many(network(asker(request))):
        return PlainTextResponse("too many pages are open", 503, {"retry-after": "5"})
    run = await run_in_threadpool(named, request)
    return StreamingResponse(news(request, run), media_type="text/event-stream")


async def news(request: Request, run: Shelved) -> AsyncIterator[str]:
    """Events until the page is left or the run is gone."""
    address = network(asker(request))
    if _are_many(address):  # many may have asked at the same moment
        yield "retry: 5000\n\n"
        return
    _streams[address] += 1
    before: dict[str, str] = {}
    quiet = 0.0
    try:
        while True:
            begun = time.monotonic()
            try:
                await run_in_threadpool(shelf(request).folder, run.id)
                now = await run_in_threadpool(parts, request, run)
            except InputError as error:
                yield event("gone", str(error))
                return
            pause = min(max(LOOK, (time.monotonic() - begun) / SHARE), BEAT)
            for name, text in now.items():
                if before.get(name) != text:
                    quiet = 0.0
                    yield event(name, text)
            before = now
            if quiet >= BEAT:
                quiet = 0.0
                yield ": alive\n\n"
            await asyncio.sleep(pause)
            quiet += pause
    finally:
        _streams[address] -= 1
        if not _streams[address]:
            del _streams[address]


def _are_many(address: str) -> bool:
    return sum(_streams.values()) >= MOST_STREAMS or _streams[address] >= MOST_OF_ONE


def event(name: str, text: str) -> str:
    """A server-sent event, whose text may have many lines."""
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


def sample(request: Request) -> Response:
    """The sample grid of an epoch."""
    path = grid(named(request).folder, request.path_params["epoch"])
    return FileResponse(path, media_type="image/png")


def gif(request: Request) -> Response:
    """The sample grids as a GIF, to save."""
    return _film(request, film.gif, "gif", "image/gif")


def mp4(request: Request) -> Response:
    """The sample grids as MP4, to save."""
    return _film(request, film.mp4, "mp4", "video/mp4")


def _film(request: Request, make: Callable[[RunFolder, Sequence[int]], bytes], ending: str, kind: str) -> Response:
    run = named(request)
    seen = view(run, trainings(shelf(request)))
    name = f'attachment; filename="{run.id.rpartition("-")[0]}.{ending}"'
    return Response(make(run.folder, seen.epochs), media_type=kind, headers={"content-disposition": name})


def score(request: Request, posted: dict[str, Any]) -> Response:
    """Have the run's samples scored by the public command."""
    of = shelf(request)
    folder = of.folder(str(posted.get("run")))
    if not folder.holds_checkpoint():
        raise InputError("this run has no checkpoint yet: wait for the end of its first epoch")
    put(scorings(of), folder.path, ["score", str(folder.path), *plugins()])
    return JSONResponse({"name": folder.path.name})


ROOM = Room(
    [
        shows("/runs/{id}", page),
        shows("/runs/{id}/events", events),
        shows("/runs/{id}/samples/{epoch:int}.png", sample),
        shows("/runs/{id}/film.gif", gif),
        shows("/runs/{id}/film.mp4", mp4),
        changes("/score", score),
    ]
)
