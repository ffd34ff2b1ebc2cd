"""Ctrl-C, SIGTERM and their like stop a command at any moment, in order, with exit code 130.

A command of ours obeys a signal in one of three ways, which this module knows at each moment:

- Before its work and after it, while modules are imported or the interpreter ends, it exits at once.
- In its work it gets a KeyboardInterrupt, which removes what is half-made on its way out.
- Within `deferred` the work is asked to stop, and does so where it can go on later: at a step boundary, with a
  checkpoint.

A second signal is for a process that takes too long: it ends `deferred` by a KeyboardInterrupt, and all else at once.
In a program of somebody else's, which calls our functions, its own handlers are left alone but within `deferred`.
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
# SIGHUP: the terminal was closed. SIGBREAK is Windows' Ctrl-Break, and what it sends before it closes a console.
STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
# Seconds in which a signal is the same one: `timeout`, torchrun and others pass on what the terminal has sent us too.
SAME = 1.0
# Seconds until a process that was told to stop is ended: one that waits in C code runs no handler, and a
# KeyboardInterrupt may be lost in a callback.
PATIENCE = 10.0
LOST = b"\0"  # no signal has this number


class Interrupted(KeyboardInterrupt):
    """A signal has stopped the work in order; the message says how it goes on."""


def interrupt() -> None:
    """Act in the main thread as on Ctrl-C; for another thread, which can't raise anything there."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()


class _Process:
    """What this process knows of signals.

    Attributes:
        quiet: whether it says nothing of a signal that ends it at once.
        working: whether a signal raises KeyboardInterrupt, and does not end the process at once.
        deferring: how many `deferred` are entered.
        told: when it was first told to stop (`time.monotonic`); None if it has not been.
        repeat: has the signal sent again in a moment.
    """

    def __init__(self) -> None:
        self.quiet, self.working, self.deferring = False, False, 0
        self.told: float | None = None
        self.repeat: Callable[[], object] = interrupt


_process = _Process()


def obey(quiet: bool = False) -> None:
    """Obey signals in this process from now on, to its end. For commands of ours, before anything else."""
    _process.quiet = quiet or os.environ.get("RANK", "0") != "0"  # torchrun's first process speaks for all
    for number in STOPS:
        if _replaceable(number) is not None:
            signal.signal(number, _handle)
    atexit.register(_leave)  # the first that is registered is the last that is called
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)
    signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)  # written to by C code, whatever Python does
    threading.Thread(target=_watch, args=(ours, pythons), name="counterfeit-signals", daemon=True).start()
    _process.repeat = partial(pythons.send, LOST)
    others = sys.unraisablehook

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        """Of an error in a callback Python only tells; a KeyboardInterrupt is raised again outside of it."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _process.repeat()
        else:
            others(unraisable)

    sys.unraisablehook = lost


@contextmanager
def working() -> Iterator[None]:
    """The block is the work of a command: a signal raises KeyboardInterrupt in it."""
    _process.working = True
    try:
        yield
    finally:
        _process.working = False


@contextmanager
def deferred() -> Iterator[threading.Event]:
    """The first signal sets the event that this yields; the block asks for it, and stops in order.

    A signal is not forgotten where the block comes to its end before it asks. A second signal acts as it does outside.

    Raises:
        Interrupted: after the block, where the event is set and the block did not raise that itself.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    if _process.told is not None:  # the KeyboardInterrupt of that was lost
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
        if stop.is_set():  # whoever goes on after errors must not go on after this one
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
    """The handler of a signal; None if ours must not take its place: nohup's, and one that C code has installed."""
    handler = signal.getsignal(number)
    # A shell's background job ignores SIGINT, and may be sent one all the same.
    return None if handler == signal.SIG_IGN and number != signal.SIGINT else handler


def _handle(number: int, frame: FrameType | None) -> None:
    now, before = time.monotonic(), _process.told
    if before is not None and now - before < SAME:
        return
    _process.told = now if before is None else before
    if not _process.working or before is not None:
        _end()
    if _importing(frame):
        _process.repeat()
        return
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: C++ code that is being loaded aborts the process at a KeyboardInterrupt."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave() -> None:
    """All is done, and the exit code is known: a signal while the interpreter is taken apart changes nothing."""
    for number in STOPS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_IGN)  # Python would put back the default, which kills


def leave() -> NoReturn:
    """End the process that a signal has stopped in order: all but Python's own end, with the code STOPPED.

    Python remembers a KeyboardInterrupt that was raised in code which `exec` got as text, as dataclasses are made, and
    kills itself by SIGINT in the end, whoever has caught it.
    """
    try:
        atexit._run_exitfuncs()
    finally:
        os._exit(STOPPED)


def _end() -> NoReturn:
    """End the process at once: no clean-up, no atexit, and whatever its threads do."""
    try:
        if not _process.quiet and sys.stderr is not None:
            os.write(2, b"counterfeit: interrupted\n")
    finally:
        os._exit(STOPPED)


def _watch(received: socket.socket, keep: socket.socket) -> None:
    """In a thread: repeat a signal that was lost or came too early, and end the process if it runs on after one."""
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
            time.sleep(0.02)  # until the callback is left, or the import done
            _process.told = None
            interrupt()
        elif number[0] in STOPS and until is None:
            until = time.monotonic() + PATIENCE
