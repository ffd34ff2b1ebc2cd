"""What a page of the app is made of: routes, templates, and what the pages share.

To add pages, write a module with a `Room` and name it in `server.ROOMS`:

    ROOM = Room([shows("/explore", page), changes("/explore/move", move)], title="Explore", path="/explore")

    def page(request: Request) -> Response:
        return html(request, "explore.html", runs=shelf(request).runs())  # app/templates/explore.html extends base.html

    def move(request: Request, posted: dict[str, Any]) -> Response:       # a JSON object, from post() of static/post.js
        folder = shelf(request).folder(posted["run"])                     # InputError: the app answers it with 400
        return JSONResponse({"moved": True})

Functions run in a thread of their own, so that they may compute and read files. `async def` runs in the server's loop.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from counterfeit.app.shelf import Shelf
from counterfeit.errors import InputError


@dataclass(frozen=True)
class Room:
    """Pages that belong together.

    Attributes:
        routes: made by `shows` and `changes`.
        title: in the navigation; empty for pages that other pages link to.
        path: where the navigation leads.
        open_to_all: beginning of the paths that need no token of the app, as the room asks for a code of its own.
        most_body: bytes of a request's body, for paths that need more than `guard.MOST_BODY`.
    """

    routes: Sequence[BaseRoute]
    title: str = ""
    path: str = "/"
    open_to_all: str | None = None
    most_body: Mapping[str, int] = field(default_factory=dict)


def shows(path: str, endpoint: Callable[..., Any]) -> Route:
    """A route that changes nothing; `endpoint` takes the request."""
    return Route(path, endpoint, methods=["GET"])


def changes(path: str, endpoint: Callable[..., Any]) -> Route:
    """A route that may change something; `endpoint` takes the request and the JSON object that was posted."""

    async def read(request: Request) -> Response:
        values = _object(await request.body())
        if inspect.iscoroutinefunction(endpoint):
            answer: Response = await endpoint(request, values)
            return answer
        return await run_in_threadpool(endpoint, request, values)

    return Route(path, read, methods=["POST"])


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body holds. Raises InputError."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InputError("the body is not a JSON object")
    return values


def html(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page: a template of `app/templates`, which knows `values`, the navigation and the path."""
    return HTMLResponse(render(request, template, **values), status)


def render(request: Request, template: str, **values: Any) -> str:
    """A template as text, for a part of a page."""
    text: str = request.app.state.templates.get_template(template).render(here=request.url.path, **values)
    return text


def shelf(request: Request) -> Shelf:
    """The runs that the app was started with."""
    found: Shelf = request.app.state.shelf
    return found
