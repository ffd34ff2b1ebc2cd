"""One thread that computes what is asked, one after another; of a client's requests of a kind, only the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from counterfeit.errors import InputError

T = TypeVar("T")

MOST_WAITING = 64


class Stale(InputError):
    """A newer request took the place of this one before its turn came."""


class Busy(InputError):
    """Too many requests wait."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[], Any]
    answer: Future[Any]


class Newest:
    """A queue of requests, and the thread that answers them. Nothing waits behind requests that nobody needs any more.

    A request that is replaced keeps its place in the queue for the newer one: who asks often does not have to wait for
    longer, nor does anybody else.
    """

    def __init__(self, prepare: Callable[[], object] = lambda: None) -> None:
        """`prepare` is called first in the thread."""
        self._prepare = prepare
        self._waiting: dict[Hashable, _Job] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def ask(self, key: Hashable, work: Callable[[], T]) -> Future[T]:
        """What `work` returns or raises. A request of the same key that still waits fails with Stale.

        Raises Busy if there are MOST_WAITING others.
        """
        job = _Job(work, Future())
        with self._changed:
            if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
                raise Busy("too many people explore at the same time: try again in a second")
            replaced = self._waiting.get(key)
            self._waiting[key] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="explore", daemon=True)
                self._thread.start()
            self._changed.notify()
        if replaced is not None and replaced.answer.set_running_or_notify_cancel():
            replaced.answer.set_exception(Stale("a newer request took the place of this one"))
        return job.answer

    def _run(self) -> None:
        self._prepare()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.pop(next(iter(self._waiting)))
            if not job.answer.set_running_or_notify_cancel():
                continue  # whoever asked has gone
            try:
                found = job.work()
            except BaseException as error:  # whatever it is, it is the answer, and the thread lives on
                job.answer.set_exception(error)
            else:
                job.answer.set_result(found)
