"""The app put together: rooms to routes, the guard before them, errors as answers."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from counterfeit.app import compare, judge, rate, runs, steps, watch
from counterfeit.app.explore import pages as explore
from counterfeit.app.guard import Guard, Policy
from counterfeit.app.people import HumanTests
from counterfeit.app.room import Room, html, shows
from counterfeit.app.shelf import Shelf
from counterfeit.errors import InputError
from counterfeit.pages import TEMPLATES, environment
from counterfeit.system import words

HERE = Path(__file__).parent
# Every room of the app, in the order of the navigation.
ROOMS: tuple[Room, ...] = (runs.ROOM, watch.ROOM, steps.ROOM, explore.ROOM, compare.ROOM, judge.ROOM, rate.ROOM)


def application(shelf: Shelf, host: str = "127.0.0.1", token: str | None = None, code: str | None = None) -> Starlette:
    """The app as an ASGI application.

    Args:
        shelf: the runs that it shows.
        host: the address that it is bound to; requests must name it, or another of this machine.
        token: what a request must know, for an address that other machines reach.
        code: what raters join the next human test with; by default it is drawn by lot.
    """
    policy = Policy(
        host,
        token,
        open_to_all=tuple(room.open_to_all for room in ROOMS if room.open_to_all),
        most_body={path: most for room in ROOMS for path, most in room.most_body.items()},
    )
    routes = [route for room in ROOMS for route in room.routes]
    app = Starlette(
        routes=[*routes, shows("/style.css", _style), Mount("/static", StaticFiles(directory=HERE / "static"))],
        middleware=[Middleware(Guard, policy=policy)],
        exception_handlers={InputError: _wrong_input, HTTPException: _no_such_page},
    )
    app.state.shelf = shelf
    app.state.tests = HumanTests(shelf.own / "tests", code)
    app.state.shared, app.state.host = token is not None, host
    app.state.templates = templates()
    return app


def templates() -> Environment:
    """The templates of the app over those that all pages share."""
    made = environment(HERE / "templates")
    made.filters |= {"duration": words.duration, "whole": words.whole, "marked": marked}
    made.globals["rooms"] = [room for room in ROOMS if room.title]
    return made


def marked(text: str) -> Markup:
    """The words of `--help` as HTML: what stands between backticks is code, and an option is never broken."""
    parts = re.split("`(.+?)`", text)
    made = [f"<code>{escape(part)}</code>" if place % 2 else escape(part) for place, part in enumerate(parts)]
    return Markup(re.sub(r"(?<![\w>])--[a-z][\w-]*", r'<span class="word">\g<0></span>', "".join(made)))


def _style(request: Request) -> Response:
    """The report's style."""
    return FileResponse(TEMPLATES / "style.css")


def _wrong_input(request: Request, error: Exception) -> Response:
    """What is wrong, as JSON for a script that posted, otherwise as a page."""
    if request.method == "POST":
        return JSONResponse({"error": str(error)}, 400)
    return html(request, "error.html", 404, error=str(error))


def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.method == "POST":
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    words = "There is no such page." if error.status_code == 404 else error.detail
    return html(request, "error.html", error.status_code, error=words)
