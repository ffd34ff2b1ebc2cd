"""Several members at once, each in a child process of this machine: see `comparison.member`.

A child lives as long as there are members, so that torch is imported and real images are read once a child and not once
a member. The end of its stdin tells it to stop: that comes also when this process is killed, and leaves none over.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
import torch

from counterfeit.comparison import member as child
from counterfeit.comparison.grid import Member
from counterfeit.comparison.work import Failure, Order, Pace, Result, Task, message
from counterfeit.fitting import Interrupted, stop_on_signals


def in_processes(members: Sequence[Member], order: Order, workers: int) -> Iterator[tuple[int, Result]]:
    """An engine, see `comparison.engines`: at most `workers` at once, torch's threads divided among them.

    A child that dies costs its member, which is a failure, and nothing else.
    """
    workers = min(workers, len(members))
    waiting, pace = deque(enumerate(members)), Pace(members, workers)
    idle: list[_Child] = []
    with stop_on_signals() as stop, _children(order, workers) as children, selectors.DefaultSelector() as busy:
        while (waiting or busy.get_map()) and not stop.is_set():
            while waiting and len(busy.get_map()) < workers:
                i, member = waiting.popleft()
                one = idle.pop() if idle else children()
                one.begin(i, Task(member, f"[{i + 1}/{len(members)}] ", pace.left()))
                busy.register(one.results, selectors.EVENT_READ, one)
            for key, _ in busy.select(timeout=0.2):
                one = key.data
                busy.unregister(one.results)
                result = one.result() or Failure(members[one.at].path, one.fate())
                idle += [one] if one.process.poll() is None else []
                pace.add(members[one.at], result)
                yield one.at, result
    if stop.is_set():
        raise Interrupted("stopped; the same command goes on")


class _Child:
    """A process that does one member's work after another; `at` is the place of the present one in the grid."""

    def __init__(self, order: bytes, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", child.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C comes to us, and we tell it
        )
        assert self.process.stdin and self.process.stdout
        self.tasks, self.results = self.process.stdin, self.process.stdout
        self.at = -1
        self._tell(order)

    def begin(self, at: int, task: Task) -> None:
        self.at = at
        self._tell(message(task))

    def result(self) -> Result | None:
        """What it found; None where it died over it."""
        line = self.results.readline()
        return msgspec.json.decode(line, type=Result) if line.endswith(b"\n") else None

    def fate(self) -> str:
        """How it ended, for its member's failure."""
        code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"its process {how}; the same command goes on from its last checkpoint"

    def _tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError):  # it has died: that is met where its result is read
            self.tasks.write(line + b"\n")
            self.tasks.flush()


@contextmanager
def _children(order: Order, workers: int) -> Iterator[Callable[[], _Child]]:
    """A maker of children, which are all told to stop and waited for in the end; a second Ctrl-C kills them."""
    line, threads = message(order), max(1, torch.get_num_threads() // workers)
    made: list[_Child] = []

    def make() -> _Child:
        made.append(_Child(line, threads))
        return made[-1]

    try:
        yield make
    finally:
        try:
            for one in made:
                with suppress(BrokenPipeError):
                    one.tasks.close()
            for one in made:
                one.process.wait()
        finally:
            for one in made:
                one.process.kill()
                one.process.wait()
                one.results.close()
