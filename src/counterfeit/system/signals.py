"""Stop a command cleanly on Ctrl-C, SIGTERM and similar signals at any moment, with exit code 130.

A command of ours reacts to a signal in one of three ways, depending on what it is doing:

- Before and after its work, while modules are imported or the interpreter ends, it exits at once.
- During its work, KeyboardInterrupt is raised and unfinished files are removed on the way out.
- Within `deferred`, the work is asked to stop, and does so where it can be resumed later: at a step boundary, with a
  checkpoint.

A second signal is for a process that takes too long: it ends `deferred` with a KeyboardInterrupt, and everything else
at once. In a user's program that calls our functions, the program's own handlers are left alone, except within
`deferred`.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object] | int
STOPPED = 130  # exit code
# SIGHUP: the terminal was closed. SIGBREAK: Ctrl-Break on Windows, also sent before a console closes.
STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
# Seconds within which a repeated signal counts as one: `timeout`, torchrun and others forward signals that the terminal
# has sent to us too.
SAME = 1.0
# Seconds until a process that was asked to stop is ended: one that waits in C code runs no handler, and a
# KeyboardInterrupt may be lost in a callback.
PATIENCE = 10.0
LOST = b"\0"  # no signal has this number


class Interrupted(KeyboardInterrupt):
    """A signal has stopped the work cleanly; the message says how to resume it."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook prints: the line, and not the way to it."""
        return [f"{type(self).__name__}: {self}"]


def interrupt() -> None:
    """Act in the main thread as if Ctrl-C was pressed; for other threads, which cannot raise an exception there."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()


class _Process:
    """The state of signal handling in this process.

    Attributes:
        quiet: whether to print nothing when a signal ends the process at once.
        working: whether a signal raises KeyboardInterrupt rather than ends the process at once.
        deferring: how many `deferred` blocks are active.
        first_request: time of the first request to stop (`time.monotonic`); None if there was none.
        repeat: has the signal sent again after a moment.
    """

    def __init__(self) -> None:
        self.quiet, self.working, self.deferring = False, False, 0
        self.first_request: float | None = None
        self.repeat: Callable[[], object] = interrupt


_process = _Process()


def obey(quiet: bool = False) -> None:
    """Handle signals in this process from now until its end. Our commands call this before anything else."""
    _process.quiet = quiet or os.environ.get("RANK", "0") != "0"  # only the first process of torchrun prints
    for number in STOPS:
        if _replaceable(number) is not None:
            signal.signal(number, _handle)
    atexit.register(_leave)  # registered first, so called last
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)
    signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)  # written by C code, whatever Python is doing
    threading.Thread(target=_watch, args=(ours, pythons), name="counterfeit-signals", daemon=True).start()
    _process.repeat = partial(pythons.send, LOST)
    others = sys.unraisablehook

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        """Raise a lost KeyboardInterrupt again: Python only prints an exception that is raised in a callback."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _process.repeat()
        else:
            others(unraisable)

    sys.unraisablehook = lost


@contextmanager
def working() -> Iterator[None]:
    """Mark the block as the work of a command: a signal raises KeyboardInterrupt in it."""
    _process.working = True
    try:
        yield
    finally:
        _process.working = False


@contextmanager
def deferred() -> Iterator[threading.Event]:
    """Yield an event that the first signal sets; the block checks it, and stops cleanly.

    If the block ends before it checks the event, the signal is not forgotten. A second signal acts as outside the
    block.

    Raises:
        Interrupted: after the block, if the event is set and the block did not raise this itself.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    if _process.first_request is not None:  # its KeyboardInterrupt was lost
        stop.set()
    before = {number: handler for number in STOPS if (handler := _replaceable(number)) is not None}
    first = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if not stop.is_set():
            first = now
            stop.set()
        elif now - first > SAME:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, handle)
    _process.deferring += 1
    try:
        yield stop
    except Exception as error:
        if stop.is_set():  # code that continues after errors must not continue after this one
            raise Interrupted(f"{error}; stopped") from error
        raise
    except GeneratorExit:
        if not stop.is_set():
            raise
    finally:
        _process.deferring -= 1
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.is_set():
        raise Interrupted("stopped")


def _replaceable(number: int) -> Handler | None:
    """The handler of a signal; None if ours must not replace it: nohup's, or one installed by C code."""
    handler = signal.getsignal(number)
    # A shell's background job ignores SIGINT, but may still be sent one.
    return None if handler == signal.SIG_IGN and number != signal.SIGINT else handler


def _handle(number: int, frame: FrameType | None) -> None:
    now, before = time.monotonic(), _process.first_request
    if before is not None and now - before < SAME:
        return
    _process.first_request = now if before is None else before
    if not _process.working or before is not None:
        _end()
    if _importing(frame):
        _process.repeat()
        return
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: a KeyboardInterrupt while C++ code is loaded would abort the process."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave() -> None:
    """Ignore signals from now on: the exit code is known, and a signal at shutdown should not change it."""
    for number in STOPS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_IGN)  # Python would restore the default handler, which kills


def leave() -> NoReturn:
    """End a process that a signal has stopped cleanly: run exit handlers, then exit at once with the code STOPPED.

    Python's own end is skipped: Python remembers a KeyboardInterrupt that was raised in code run by `exec` (as when a
    dataclass is made), and at the end kills itself with SIGINT, even if the exception was caught.
    """
    try:
        atexit._run_exitfuncs()
    finally:
        os._exit(STOPPED)


def _end() -> NoReturn:
    """End the process at once: no clean-up, no atexit, whatever its threads are doing."""
    try:
        if not _process.quiet and sys.stderr is not None:
            os.write(2, b"counterfeit: interrupted\n")
    finally:
        os._exit(STOPPED)


def _watch(received: socket.socket, keep: socket.socket) -> None:
    """In a thread: repeat a signal that was lost or came too early; end the process if it runs on after one."""
    until: float | None = None
    while True:
        if until is not None and time.monotonic() >= until:
            until = None
            if not _process.deferring:
                _end()
        received.settimeout(None if until is None else max(0.01, until - time.monotonic()))
        try:
            number = received.recv(1)
        except TimeoutError:
            continue
        if number == LOST:
            time.sleep(0.02)  # until the callback has returned, or the import is done
            _process.first_request = None
            interrupt()
        elif number[0] in STOPS and until is None:
            until = time.monotonic() + PATIENCE
