"""What stands before every page: who may ask, how much, how often, and what the answer lets a browser do.

- A request must name this machine in `Host`: a page of another site cannot have its own name resolve to us and read.
- A change needs POST, and an `Origin` that is ours: another site's page cannot post in the user's name.
- An address that other machines reach needs a token, which its link holds, and a cookie afterwards.
- A browser runs and loads nothing but our files: no inline script or style, no frames, no other server.
- Bodies, requests per second, and the time that a body may take are bounded.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfeit.app.limits import Rate

MOST_BODY = 64 << 10  # bytes
BODY_SECONDS = 15.0  # for a whole body
RATE, BURST = 50.0, 300.0  # requests per second from one address, in the long run and at once
COOKIE = "counterfeit"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Policy:
    """Who may ask for what.

    Attributes:
        host: the address that the server is bound to.
        token: what a request must know; None on loopback.
        open_to_all: beginnings of paths that need no token.
        most_body: path -> bytes, where a body may be larger than MOST_BODY.
    """

    host: str
    token: str | None = None
    open_to_all: tuple[str, ...] = ()
    most_body: Mapping[str, int] = field(default_factory=dict)

    def knows_host(self, host: str) -> bool:
        """Whether a `Host` header names this machine.

        Where a token is needed, any address in numbers does: only a name can be made to resolve to us.
        """
        name = urlsplit(f"//{host}").hostname or ""
        if name in ("localhost", self.host.lower()):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            own = socket.gethostname().lower()
            return self.token is not None and name in (own, f"{own}.local")
        return address.is_loopback or self.token is not None


class Guard:
    """ASGI middleware that turns away what `Policy` does not allow."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app, self.policy = app, policy
        self._requests = Rate(RATE, BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, _with_headers(send))
            return
        most = self.policy.most_body.get(scope["path"], MOST_BODY)
        body = _Body(receive, most)
        try:
            await self.app(scope, body.receive, _with_headers(send))
        except _TooMuch as fault:
            await PlainTextResponse(str(fault), fault.status, {"connection": "close"})(
                scope, receive, _with_headers(send)
            )

    def _refused(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; None for one that may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._requests.take((scope.get("client") or ("",))[0]):
            return PlainTextResponse("too many requests: wait a second", 429, {"retry-after": "1"})
        try:
            known = self.policy.knows_host(host)
        except ValueError:
            known = False
        if not known:
            return PlainTextResponse("this name is not known here: open the address that counterfeit app printed", 421)
        if scope["method"] not in ("GET", "HEAD"):
            if headers.get("origin") not in (f"http://{host}", f"https://{host}"):
                return PlainTextResponse("only the app's own pages may change things", 403)
            most = self.policy.most_body.get(scope["path"], MOST_BODY)
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > most:
                return PlainTextResponse(f"a body may have {most:,} bytes", 413, {"connection": "close"})
        return self._asked_for_token(scope, headers)

    def _asked_for_token(self, scope: Scope, headers: Headers) -> Response | None:
        """None for a request that knows the token. One that has it in its link gets a cookie, and a link without it."""
        token = self.policy.token
        if token is None or scope["path"].startswith(("/static/", *self.policy.open_to_all)):
            return None
        asked = parse_qsl(scope["query_string"].decode("latin-1"))
        given = [value for name, value in asked if name == "token"]
        if scope["method"] == "GET" and given and _same(given[0], token):
            rest = urlencode([pair for pair in asked if pair[0] != "token"])
            answer = RedirectResponse(_local(scope["path"]) + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="lax")
            return answer
        if _same(_cookie(headers), token):
            return None
        return PlainTextResponse("open the link with ?token=… that counterfeit app printed", 401)


class _TooMuch(Exception):
    """A body that is too large, or too slow."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


class _Body:
    """Receives a body of so many bytes, within BODY_SECONDS."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._got = receive, most, 0
        self._until = time.monotonic() + BODY_SECONDS
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:  # what follows is that the client has gone, which may take as long as an answer does
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except asyncio.TimeoutError:
            raise _TooMuch("the body did not come in time", 408) from None
        if message["type"] == "http.request":
            self._got += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._got > self._most:
                raise _TooMuch(f"a body may have {self._most:,} bytes", 413)
        return message


def _with_headers(send: Send) -> Send:
    """Add the headers that every answer has, and forbid to keep pages, which may be out of date in a second."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-cache")
        await send(message)

    return sending


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _local(path: str) -> str:
    """The path of this server: two slashes would begin the name of another."""
    return "/" + path.lstrip("/\\")


def _same(one: str, other: str) -> bool:
    """Whether two words are the same, in a time that does not tell where they differ."""
    return secrets.compare_digest(one.encode(), other.encode())
