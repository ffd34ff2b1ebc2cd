"""`python -m counterfeit.app.worker FOLDER`: do what waits in a queue, one by one, then end.

The app starts it, and it goes on without the app. A job whose worker was killed is waited for, as it may still run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock

from counterfeit.app.jobs import RUNNING, Job, Queue

START = (sys.executable, "-m", "counterfeit")
LOOK = 1.0  # seconds between two looks at a process that is not ours to wait for


def main(folder: str) -> None:
    """Work until there is nothing left to do."""
    for number in (getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)):
        signal.signal(number, signal.SIG_IGN)  # which are meant for the app, or come from its terminal
    queue = Queue(Path(folder))
    while not queue.is_done():  # asked again after the lock is free: the app may have seen us hold it
        try:
            with queue.work():
                drain(queue)
        except filelock.Timeout:
            return


def drain(queue: Queue) -> None:
    """Do all that waits. The lock of the worker is held."""
    for begun in queue.jobs():
        if begun.state == RUNNING:
            outlast(begun)
            queue.end(begun, None)
    while (job := queue.next()) is not None:
        process = queue.begin(job, START)
        if process is not None:
            queue.end(job, process.wait())


def outlast(job: Job) -> None:
    """Wait until the process of a job has ended that another worker started."""
    while is_alive(job):
        time.sleep(LOOK)


def is_alive(job: Job) -> bool:
    """Whether the process of a job runs: after a restart of the machine, its number may be that of another."""
    if job.pid is None or job.pid == os.getpid():
        return False
    return _command(job.pid).endswith(" ".join(["", *job.arguments]))


def _command(pid: int) -> str:
    """The command line of a process; "" if there is none, or it cannot be known."""
    try:
        if Path("/proc/self/cmdline").exists():
            found = Path(f"/proc/{pid}/cmdline").read_bytes()
        else:  # macOS
            asked = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
            found = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    except OSError:
        return ""
    return os.fsdecode(found.rstrip(b"\0\n").replace(b"\0", b" "))


if __name__ == "__main__":
    main(sys.argv[1])
