"""What a person sees while we work: messages and progress, always on stderr, so that stdout stays for results.

Of the processes that torchrun started, the first speaks for all. None of it can end the work: where stderr is closed,
full or without the letters, what was said is lost or spelled otherwise.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from counterfeit.errors import InputError, OutputError
from counterfeit.system.text import PLAIN, encodable, harmless, reason

MOST_PROCESSES = 1_000_000


def job_size() -> int:
    """How many processes torchrun started, this one counted; 1 without it. InputError for a WORLD_SIZE that is none."""
    given = os.environ.get("WORLD_SIZE", "") or "1"
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= MOST_PROCESSES):
        raise InputError(f"WORLD_SIZE is {given!r}, which torchrun never sets: unset it, and RANK and LOCAL_RANK")
    return int(given)


def alone() -> bool:
    """Whether this process belongs to no job of several; a RANK without such a WORLD_SIZE is left over from one."""
    try:
        return job_size() == 1
    except InputError:
        return True


def speaks() -> bool:
    """Whether this process is the one of its job that the user hears."""
    return os.environ.get("RANK", "0") == "0" or alone()


class Steady(io.TextIOBase):
    """The stderr of this moment (tests and notebooks replace it), to which writing never fails."""

    def __init__(self) -> None:
        self._out: Any = sys.stderr  # None where the process was started without one

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase has an attribute
        return getattr(self._out, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError, AttributeError):  # full or gone; closed; there is none
            try:
                self._out.write(text)
            except UnicodeEncodeError:
                self._out.write(encodable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            self._out.flush()

    def isatty(self) -> bool:
        try:
            return bool(self._out.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def fileno(self) -> int:
        return int(self._out.fileno())


def stderr() -> Console:
    """A console for what is drawn on stderr."""
    return Console(
        file=cast(TextIO, Steady()),
        quiet=not speaks(),
        emoji=False,
        highlight=False,
        soft_wrap=True,
        force_jupyter=False,
    )


def say(message: str) -> None:
    """One line for the person: what is being done, or what they should know."""
    if speaks():
        tell(message)


def tell(message: str) -> None:
    """The same from a process that else is silent."""
    out = Steady()
    out.write(harmless(message) + "\n")
    out.flush()


@contextmanager
def decoration(what: str) -> Iterator[None]:
    """A block without which the work is whole: a picture, a curve. What goes wrong in it is one line, and no error."""
    try:
        yield
    except Exception as error:
        say(f"{what} cannot be drawn ({reason(error)}); it is left out")


@contextmanager
def progress(what: str, total: float | None, *, unit: str = "") -> Iterator[Callable[[float], None]]:
    """Show `what` with a bar while the block runs; yields a function that advances it.

    `total` in the things that are counted (None when unknown); `unit="B"` counts bytes. Where stderr is no
    terminal there is one line at the start and no bar, so that logs stay readable.
    """
    console = stderr()
    if not console.is_terminal:
        say(what)
        yield lambda amount: None
        return
    counter = DownloadColumn() if unit == "B" else MofNCompleteColumn()
    columns = [TextColumn("{task.description}", markup=False), BarColumn(), counter, TimeRemainingColumn()]
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(harmless(what), total=total)
    with decoration("the progress bar"):
        bar.start()
    try:
        yield lambda amount: bar.advance(task, amount)
    finally:
        with decoration("the progress bar"):
            bar.stop()


def terminal_width() -> int:
    """Columns of the terminal; 80 if there is none."""
    return shutil.get_terminal_size().columns


def as_text(table: RenderableType, width: int) -> str:
    """A table as lines of text, the same in a terminal, a file and a notebook, whatever colors are asked for there."""
    page = io.StringIO()
    plain: dict[str, Any] = {"force_terminal": False, "force_jupyter": False, "color_system": None}
    Console(file=page, width=width, emoji=False, highlight=False, **plain).print(table)
    return "\n".join(harmless(line.rstrip()) for line in page.getvalue().rstrip().split("\n"))


_closed = False  # whether this process was started without a stdout


def settle_streams() -> None:
    """Make stdout and stderr take any text, for a command of ours: what their encoding lacks is written in ASCII.

    Where one is closed, its number is taken, so that no file that is opened later gets what is printed.
    """
    global _closed
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
    _closed = sys.stdout is None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=PLAIN)


class Page(io.StringIO):
    """What is written for stdout, of which it has the looks, and printed later by `result`."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and not sys.__stdout__.closed and sys.__stdout__.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of the text that goes out in the end
        return getattr(sys.__stdout__, "encoding", None) or "utf-8"


def result(text: str, keep: str = "\n") -> None:
    """Print on stdout what a command was asked for. Raises OutputError: that is closed or full; or BrokenPipeError."""
    try:
        if _closed:
            raise OSError("it is closed")
        print(harmless(text, keep), flush=True)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a stream that a caller of `main` has closed
        raise OutputError(f"cannot write to standard output ({reason(error)}): the output is lost") from None


def close_streams() -> None:
    """Flush stdout and stderr; what cannot be written any more is dropped, lest Python complains of it at the end.

    Raises OutputError as `result`, after both are through.
    """
    lost: OSError | None = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                lost = error
        except ValueError:
            continue  # closed
    if lost is not None:
        raise OutputError(f"cannot write to standard output ({reason(lost)}): the output is lost")
