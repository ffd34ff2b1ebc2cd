"""Several members at once, each in a child process of this machine: see `comparison.member`.

A child lives as long as there are members, so that torch is imported and real images are read once a child and not once
a member. The end of its stdin tells it to stop: that comes also when this process is killed, and leaves none over.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import torch

from counterfeit.comparison import member as child
from counterfeit.comparison.grid import Member
from counterfeit.comparison.work import Failure, Order, Pace, Result, Task, message, result_of
from counterfeit.system.signals import deferred

# With `-m` or `-c`, Python looks for modules in the working folder first, and a numpy.py that lies there would be run.
# This package is found by the last entry, wherever it is that we were found ourselves.
START = f"import sys; sys.path[:] = [*filter(None, sys.path), sys.argv.pop()]; import {child.__name__} as m; m.main()"
PACKAGES = Path(__file__).parents[3]


def in_processes(members: Sequence[Member], order: Order, workers: int) -> Iterator[tuple[int, Result]]:
    """An engine, see `comparison.engines`: at most `workers` at once, torch's threads divided among them.

    A child that dies costs its member, which is a failure, and nothing else.
    """
    workers = min(workers, len(members))
    waiting, pace = deque(enumerate(members)), Pace(members, workers)
    idle: list[_Child] = []
    busy: list[_Child] = []
    with deferred() as stop, _children(order, workers) as (make, arrived):
        while (waiting or busy) and not stop.is_set():
            while waiting and len(busy) < workers:
                i, member = waiting.popleft()
                busy.append(idle.pop() if idle else make())
                busy[-1].begin(i, Task(member, f"[{i + 1}/{len(members)}] ", pace.left()))
            with suppress(Empty):
                one, line = arrived.get(timeout=0.2)
                if one in idle:  # it has died since
                    idle.remove(one)
                elif one in busy:
                    busy.remove(one)
                    idle += [one] if line else []
                    result = one.result(line) or Failure(members[one.at].path, one.fate())
                    pace.add(members[one.at], result)
                    yield one.at, result


class _Child:
    """A process that does one member's work after another; `at` is the place of the present one in the grid."""

    def __init__(self, order: bytes, threads: int, arrived: SimpleQueue[tuple[_Child, bytes]]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(PACKAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            # Ctrl-C comes to us, and we tell it: the first is for POSIX, the second for Windows.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.at = -1
        self.reader = threading.Thread(target=self._receive, args=(arrived,), daemon=True)
        self.reader.start()
        self._tell(order)

    def begin(self, at: int, task: Task) -> None:
        self.at = at
        self._tell(message(task))

    def result(self, line: bytes) -> Result | None:
        """What it found; None where it died over it."""
        return result_of(line) if line else None

    def fate(self) -> str:
        """How it ended, for its member's failure."""
        code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"its process {how}; run the same command to continue from its last checkpoint"

    def tell_to_stop(self) -> None:
        assert self.process.stdin
        with suppress(OSError):  # it has died
            self.process.stdin.close()

    def end(self) -> None:
        """Kill it if it lives, and leave nothing of it."""
        assert self.process.stdout
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def _tell(self, line: bytes) -> None:
        assert self.process.stdin
        with suppress(OSError):  # it has died: that is met where its result is read
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def _receive(self, arrived: SimpleQueue[tuple[_Child, bytes]]) -> None:
        """In a thread, for select() takes no pipes on Windows: whole lines, and nothing for the end."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                arrived.put((self, line))
        arrived.put((self, b""))


@contextmanager
def _children(order: Order, workers: int) -> Iterator[tuple[Callable[[], _Child], SimpleQueue[tuple[_Child, bytes]]]]:
    """A maker of children, and what comes from them; all are told to stop and waited for in the end.

    A second Ctrl-C kills them, and so does a wait that is longer than they take to end themselves.
    """
    line, threads = message(order), max(1, torch.get_num_threads() // workers)
    made: list[_Child] = []
    arrived: SimpleQueue[tuple[_Child, bytes]] = SimpleQueue()

    def make() -> _Child:
        made.append(_Child(line, threads, arrived))
        return made[-1]

    try:
        yield make, arrived
    finally:
        try:
            for one in made:
                one.tell_to_stop()
            until = time.monotonic() + child.PATIENCE + 10
            for one in made:
                with suppress(subprocess.TimeoutExpired):
                    one.process.wait(max(0.0, until - time.monotonic()))
        finally:
            for one in made:
                one.end()
