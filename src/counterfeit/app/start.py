"""`counterfeit app`: the server, from its address to its end."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from counterfeit.app.address import address, is_loopback, listens
from counterfeit.errors import InputError
from counterfeit.system.console import result, say

GRACE = 2  # seconds for answers that are under way when the app ends


def start(
    runs: Sequence[str | Path], host: str, port: int, open: bool, path: str = "/", code: str | None = None
) -> None:
    """Serve the app until a signal ends it.

    Args:
        runs: folders of runs.
        host, port: the address.
        open: whether to open it in a browser.
        path: the page that its address leads to.
        code: what raters join the next human test with.

    Raises:
        InputError: the extra is not installed, or the address cannot be had.
        KeyboardInterrupt: a signal ended it.
    """
    try:
        import uvicorn

        from counterfeit.app.connections import Bounded
        from counterfeit.app.server import application
        from counterfeit.app.shelf import Shelf
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise InputError(f"the app needs {package}, which is missing: pip install 'counterfeit[app]'") from None
    shelf = Shelf(runs)
    token = None if is_loopback(host) else secrets.token_urlsafe(16)
    app = application(shelf, host, token, code)
    with bound(host, port) as listening:
        where = address(listening, host) + path + (f"?token={token}" if token else "")
        result(where)
        if open and not webbrowser.open(where):
            say("no browser could be opened: open the address yourself")
        config = uvicorn.Config(
            app,
            http=Bounded,
            log_level="error",  # a line for every request that is none would be for strangers to write
            ws="none",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            lifespan="off",
        )
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the app has ended; trainings that it has started go on") from None
        finally:
            app.state.tests.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises InputError."""
    try:
        listening = listens(host, port)
        # asyncio does it only for sockets that name their protocol. Else the second part of an answer waits 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host}, port {port}, cannot be used ({reason}): pass another --port or --host") from None
