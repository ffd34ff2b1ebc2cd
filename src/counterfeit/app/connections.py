"""Connections of bounded number and patience: one that does not ask, or asks slowly, is closed.

uvicorn closes one that is idle after an answer, but waits without end for the first request, or for the rest of one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 400  # open at once; many systems give a process 1,024 files
PATIENCE = 10.0  # seconds from the beginning of a connection, or of a request, to the end of the request's headers
_open: set[Bounded] = set()


class Bounded(H11Protocol):
    """uvicorn's protocol, which closes a connection that is one too many or too slow."""

    _timer: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        if len(_open) >= MOST:
            transport.abort()
            self._refused = True
            return
        _open.add(self)
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused:
            return
        _open.discard(self)
        self._stop()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._answering():
            self._stop()
        elif self._timer is None:
            self._expect()

    def _answering(self) -> bool:
        """Whether a request has come, the answer to which is not over; its body has a time of its own: see `guard`."""
        return self.cycle is not None and not self.cycle.response_complete

    def _expect(self) -> None:
        self._timer = self.loop.call_later(PATIENCE, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _late(self) -> None:
        self._timer = None
        if not self._answering() and not self.transport.is_closing():
            self.transport.abort()
