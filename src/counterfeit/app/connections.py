"""Connections of bounded number and patience: one that does not ask, or asks slowly, is closed.

uvicorn closes one that is idle after an answer, but waits without end for the first request, for the rest of one, and
for a client that does not read its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from counterfeit.app.limits import network

MOST = 400  # open at once; many systems give a process 1,024 files
MOST_OF_ONE = 250  # of them from one address: a class may share one
PATIENCE = 10.0  # seconds from the beginning of a connection, or of a request, to the end of the request's headers
STALLED = 60.0  # seconds in which a client has to take some of an answer
_open: dict[Bounded, str] = {}  # and the addresses


class Bounded(H11Protocol):
    """uvicorn's protocol, which closes a connection that is one too many or too slow."""

    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        address = network((transport.get_extra_info("peername") or ("",))[0])
        if len(_open) >= MOST or sum(other == address for other in _open.values()) >= MOST_OF_ONE:
            transport.abort()
            self._refused = True
            return
        _open[self] = address
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused:
            return
        _open.pop(self, None)
        self._stop()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._answering():
            self._stop()
        elif self._timer is None:
            self._expect()

    def pause_writing(self) -> None:
        """The client has not read for long: there is no room for more."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(STALLED, self._cut)

    def _cut(self) -> None:
        if self.transport.is_closing():  # which it is until all has been read
            self.transport.abort()

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
