"""`python -m counterfeit.comparison.member`: members' work, done for another process that tells which.

Down stdin come lines of JSON: a `work.Order`, then a `work.Task` each time that the last one's result has gone up
stdout, a line too. The end of stdin, which comes also when that process is killed, stops the work: training at a step
boundary, with a checkpoint.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from dataclasses import replace
from queue import SimpleQueue
from typing import TextIO

import msgspec

from counterfeit.comparison.work import Order, Task, Worker, message


def main() -> None:
    """Work until stdin ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints
    lines = open(0, "rb", closefd=False)
    order = msgspec.json.decode(lines.readline(), type=Order)
    sys.argv = order.command
    worker = Worker(order)
    tasks: SimpleQueue[bytes] = SimpleQueue()

    def receive() -> None:
        for line in lines:
            tasks.put(line)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        task = msgspec.json.decode(tasks.get(), type=Task)
        sys.stderr = Numbered(sys.__stderr__ or io.StringIO(), task.number)
        results.write(message(worker.work(replace(task, number=""))) + b"\n")
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


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
