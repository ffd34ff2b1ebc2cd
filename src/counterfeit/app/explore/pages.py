"""The pages of Explore, and what they ask for while one moves."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import torch
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from counterfeit.app.explore import answers, asked
from counterfeit.app.explore.newest import Busy, Newest, Stale
from counterfeit.app.explore.opened import Opened
from counterfeit.app.room import Room, changes, html, shelf, shows
from counterfeit.app.shelf import Shelf
from counterfeit.exploring import Explorer
from counterfeit.models import MODELS, Sampling
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.runs import RunFolder

S = TypeVar("S", bound=asked.Asked)

MOST_LATENT = 512 << 10  # bytes of a request with latents in it
MOST_PICTURE = 4 << 20


class Desk:
    """What all requests share: the thread that answers them, the models in memory, and where runs are."""

    def __init__(self) -> None:
        # A few rows are not worth a second core, and beside a training, threads of one product wait for each other:
        # with a load of 8 on 2 cores, an image of a GAN took 45 ms with two threads (benchmarks/explore.py).
        self.newest, self.opened = Newest(lambda: torch.set_num_threads(1)), Opened()
        self._places: dict[str, RunFolder] = {}

    def explorer(self, runs: Shelf, asked: asked.Asked) -> Explorer:
        """Of the run that is asked for. Raises InputError: it is not there, or not any more."""
        found = self._places.get(asked.run)
        if found is None or not found.holds_run():
            self._places.pop(asked.run, None)
            found = self._places[asked.run] = runs.folder(asked.run)
        return self.opened.explorer(found, asked.options)


def desk(request: Request) -> Desk:
    """The app's one desk. In the server's loop only."""
    state = request.app.state
    if not hasattr(state, "explore"):
        state.explore = Desk()
    found: Desk = state.explore
    return found


async def choose(request: Request) -> Response:
    """The runs to choose from."""
    runs = await asyncio.to_thread(shelf(request).runs)
    return html(request, "explore.html", runs=runs)


async def page(request: Request) -> Response:
    """The page of a run."""
    run = request.path_params["run"]
    given = asked.Asked(run=run)
    explorer: Explorer = await _computed(request, object(), given, lambda explorer, given: explorer)
    return html(
        request,
        "explored.html",
        run=explorer.run,
        title=MODELS[explorer.run.model_name].title,
        about=_about(run, explorer),
    )


def _about(id: str, explorer: Explorer) -> dict[str, Any]:
    """What the page's scripts have to know of a run."""
    run = explorer.run
    walks, encodes = isinstance(run.model, HasLatents), isinstance(run.model, Encodes)
    return {
        "run": id,
        "name": run.folder.path.name,
        "shape": run.data.shape,
        "classes": list(run.data.classes),
        "conditional": bool(run.model.classes),
        "walks": walks,
        "numbers": math.prod(run.model.latent_shape) if isinstance(run.model, HasLatents) else 0,
        "encodes": encodes,
        "kinds": explorer.kinds,
        "means": "principal" in explorer.kinds and len(run.data.classes) >= 3,
        "options": _options(run.options),
    }


def _options(options: Sampling) -> list[dict[str, Any]]:
    """The options of sampling that are numbers, with their values."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return [
        {"name": name, "value": value, "whole": isinstance(value, int)}
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "components"
    ]


async def _computed(request: Request, key: Any, given: S, work: Callable[[Explorer, S], Any]) -> Any:
    """The result of `work` on the explorer of the run, in the one thread. Raises what it raises, Stale and Busy."""
    at, runs = desk(request), shelf(request)

    def job() -> Any:
        found = work(at.explorer(runs, given), given)
        at.opened.shrink()
        return found

    return await asyncio.wrap_future(at.newest.ask(key, job))


def _answers(kind: type[S], work: Callable[[Explorer, S], Any]) -> Callable[..., Awaitable[Response]]:
    """An endpoint that answers requests of a kind with an image, or with an object."""

    async def endpoint(request: Request, posted: dict[str, Any]) -> Response:
        given = asked.read(posted, kind)
        client = request.client.host if request.client else ""
        try:
            found = await _computed(request, (client, given.client, work.__name__), given, work)
        except Stale:
            return Response(status_code=204)  # no fault, which a browser would print
        except Busy as error:
            return JSONResponse({"error": str(error)}, 503)
        return Response(found, media_type="image/png") if isinstance(found, bytes) else JSONResponse(found)

    return endpoint


ROOM = Room(
    [
        shows("/explore", choose),
        shows("/explore/{run}", page),
        changes("/explore/point", _answers(asked.Where, answers.point)),
        changes("/explore/plane", _answers(asked.Plane, answers.plane)),
        changes("/explore/morph", _answers(asked.Morph, answers.morph)),
        changes("/explore/samples", _answers(asked.Samples, answers.samples)),
        changes("/explore/latent", _answers(asked.Where, answers.latent)),
        changes("/explore/image", _answers(asked.Where, answers.about_image)),
        changes("/explore/encode", _answers(asked.Picture, answers.encoded)),
    ],
    title="Explore",
    path="/explore",
    most_body={
        **dict.fromkeys(
            ("/explore/point", "/explore/plane", "/explore/morph", "/explore/latent", "/explore/image"), MOST_LATENT
        ),
        "/explore/encode": MOST_PICTURE,
    },
)
