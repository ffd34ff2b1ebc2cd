"""What a rater sees: one image at a time, and nothing that says what it is before the end.

Who has the code of a test may take it; a cookie, of this test only, knows the rater again after a reload. A rater can
have the image that is to be judged now, by an id drawn by lot, and no other.
"""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from counterfeit.app.limits import asker
from counterfeit.app.people import tests
from counterfeit.app.room import Room, changes, html, shows
from counterfeit.errors import InputError
from counterfeit.human.store import Next, Store

COOKIE = "rater"
DAYS = 7 * 24 * 3600
MOST_RATERS = 2000  # of a test: who joins again and again does not fill the disk
SCREEN = ("width", "height", "scale", "upscale")  # numbers that a browser says of its screen


def page(request: Request) -> Response:
    """What is asked, and the button that begins; or where the rater was."""
    test, now = _test(request), None
    token = request.cookies.get(COOKIE)
    known = token is not None and _knows(test, token)
    if known and token is not None:
        now = test.next(token)
    return html(request, "rate.html", code=_code(request), design=test.design, known=known, now=now)


def join(request: Request, posted: dict[str, Any]) -> Response:
    """A new rater; or the one whose browser asks again."""
    test, token = _test(request), request.cookies.get(COOKIE)
    if token is None or not _knows(test, token):
        if len(test.progress()) >= MOST_RATERS:
            raise InputError("this test has as many raters as it can take")
        if not tests(request).joins.take(asker(request)):
            raise HTTPException(429, "many have joined from here: this page tries again", {"retry-after": "5"})
        token = test.join(_about(request, posted))
    answer = JSONResponse(_shown(test, token, test.next(token)))
    path = f"/rate/{_code(request)}"
    answer.set_cookie(COOKIE, token, max_age=DAYS, path=path, httponly=True, samesite="lax")
    return answer


def now(request: Request) -> Response:
    """What is to be judged now."""
    test, token = _test(request), _token(request)
    return JSONResponse(_shown(test, token, test.next(token)))


def image(request: Request) -> Response:
    """The image that is to be judged now."""
    content = _test(request).image(_token(request), request.path_params["id"])
    return Response(content, media_type="image/png", headers={"cache-control": "no-store"})


def answer(request: Request, posted: dict[str, Any]) -> Response:
    """Keep an answer; what is to be judged next. It is stored when this is answered."""
    test, token = _test(request), _token(request)
    seconds, shown = posted.get("seconds"), posted.get("shown_ms")
    if not _is_number(seconds) or not (shown is None or _is_number(shown)):
        raise InputError("an answer is real or fake, with the seconds that it took")
    found = test.answer(token, str(posted.get("id")), posted.get("answer"), seconds, shown)  # type: ignore[arg-type]
    return JSONResponse(_shown(test, token, found))


def _shown(test: Store, token: str, found: Next | None) -> dict[str, Any]:
    """What a rater is told: the next image; at the end, and not before, how well they did."""
    if found is not None:
        return {"id": found.id, "done": found.done, "of": found.of}
    own = test.own(token)
    sides = {side: [one for one in own if one.role == "judged" and one.real == (side == "real")] for side in SIDES}
    right = {side: [sum(not one.wrong for one in of), len(of)] for side, of in sides.items()}
    return {"finished": True, "right": right}


SIDES = ("real", "fake")


def _about(request: Request, posted: dict[str, Any]) -> dict[str, Any]:
    """What the browser says of itself and its screen, as far as a receipt has it."""
    screen = posted.get("screen")
    found = {name: screen[name] for name in SCREEN if _is_number(screen.get(name))} if isinstance(screen, dict) else {}
    return {"browser": request.headers.get("user-agent", "")[:200], "screen": found}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6


def _code(request: Request) -> str:
    return str(request.path_params["code"])


def _test(request: Request) -> Store:
    """The test with the code of the path. An address that was wrong too often gets none, except known raters of it.

    Raises InputError, and HTTPException for too many guesses.
    """
    guesses, token = tests(request).guesses, request.cookies.get(COOKIE)
    too_many = HTTPException(429, "too many wrong codes: check the link, and wait a minute", {"retry-after": "60"})
    if token is None and guesses.is_empty(asker(request)):
        raise too_many
    try:
        test = tests(request).test(_code(request))
    except InputError:
        if not guesses.take(asker(request)):
            raise too_many from None
        raise
    if guesses.is_empty(asker(request)) and not (token is not None and _knows(test, token)):
        raise too_many
    return test


def _token(request: Request) -> str:
    token = request.cookies.get(COOKIE)
    if token is None:
        raise InputError("nobody has joined this test in this browser: open its link again")
    return token


def _knows(test: Store, token: str) -> bool:
    try:
        test.next(token)
    except InputError:
        return False
    return True


ROOM = Room(
    [
        shows("/rate/{code}", page),
        shows("/rate/{code}/now", now),
        shows("/rate/{code}/image/{id}", image),
        changes("/rate/{code}/join", join),
        changes("/rate/{code}/answer", answer),
    ],
    open_to_all="/rate/",
)
