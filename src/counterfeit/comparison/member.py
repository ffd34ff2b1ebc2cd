"""`main`: members' work, done in a process of its own for another one that tells which.

Down stdin come lines of JSON: a `work.Order`, then a `work.Task` each time that the last one's result has gone up
stdout, a line too. The end of stdin, which comes also when that process is killed, stops the work: training at a step
boundary, with a checkpoint, all else at once.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, TextIO

from counterfeit.system import signals
from counterfeit.system.allocator import keep_freed_memory

if TYPE_CHECKING:
    from counterfeit.comparison.work import Result

PATIENCE = 60.0  # seconds in which a step and a checkpoint must be done, after the end of stdin


def main() -> None:
    """Work until stdin ends. Nothing heavy is imported before that end is watched for."""
    signals.obey(quiet=True)
    keep_freed_memory()
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(lines,), daemon=True).start()
    from counterfeit.comparison import work  # noqa: F401  # takes seconds, in which a signal ends the process at once
    from counterfeit.errors import InputError
    from counterfeit.system.console import tell

    try:
        with signals.working():
            _work(lines, results)
    except (KeyboardInterrupt, BrokenPipeError):  # nobody waits for the result: it will be found in the run's folder
        sys.exit(signals.STOPPED)
    except InputError as error:  # of a plugin, which has changed since the grid was started
        tell(str(error))
        sys.exit(2)


def _receive(lines: SimpleQueue[bytes]) -> None:
    """In a thread: pass on the lines of stdin. Their end ends the process, whatever it is doing."""
    with open(0, "rb", closefd=False) as stdin:
        for line in stdin:
            lines.put(line)
    lines.put(b"")
    signals.interrupt()
    time.sleep(PATIENCE)
    os._exit(signals.STOPPED)


def _work(lines: SimpleQueue[bytes], results: io.BufferedWriter) -> None:
    from dataclasses import replace

    import msgspec

    from counterfeit.comparison.work import Order, Worker, message, task_of
    from counterfeit.models.plugins import load_sent

    worker: Worker | None = None
    while line := lines.get():
        if worker is None:
            order = msgspec.json.decode(line, type=Order)
            load_sent(order.plugins)
            sys.argv, worker = order.command, Worker(order)
            continue
        task = task_of(line)
        sys.stderr = Numbered(sys.__stderr__ or io.StringIO(), task.number)
        result: Result = worker.work(replace(task, number=""))
        results.write(message(result) + b"\n")
        results.flush()


class Numbered(io.TextIOBase):
    """Whole lines only, each after the member's number: several processes write to one stderr."""

    def __init__(self, out: TextIO, number: str) -> None:
        self._out, self._number, self._begun = out, number, ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._out.write(f"{self._number}{line}\n")  # one write: it is not torn
            self._out.flush()
        return len(text)

    def isatty(self) -> bool:
        """No live line: there is more than one."""
        return False
