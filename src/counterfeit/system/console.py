"""Messages and progress bars for the user, always on stderr, so that stdout is free for results.

In a job started by torchrun, only the first process prints. Printing never ends the work: if stderr is closed, full or
lacks a character, the message is lost or spelled differently.
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
from counterfeit.system.notebook import Bar, in_notebook
from counterfeit.system.text import PLAIN, encodable, harmless, reason

MOST_PROCESSES = 1_000_000


def job_size() -> int:
    """The number of processes that torchrun started, this one included; 1 without torchrun.

    Raises InputError if WORLD_SIZE is not a valid number.
    """
    given = os.environ.get("WORLD_SIZE", "") or "1"
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= MOST_PROCESSES):
        raise InputError(f"WORLD_SIZE is {given!r}, which torchrun never sets: unset it, and RANK and LOCAL_RANK")
    return int(given)


def alone() -> bool:
    """Whether this process is not part of a job of several.

    A RANK without a valid WORLD_SIZE is left over from another job.
    """
    try:
        return job_size() == 1
    except InputError:
        return True


def speaks() -> bool:
    """Whether this process is the one in its job that prints messages."""
    return os.environ.get("RANK", "0") == "0" or alone()


class Steady(io.TextIOBase):
    """The current stderr (tests and notebooks replace it); writing to it never fails."""

    def __init__(self) -> None:
        self._out: Any = sys.stderr  # None if the process was started without one

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute in TextIOBase
        return getattr(self._out, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError, AttributeError):  # in this order: full or gone; closed; None
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
    """A rich console that draws on stderr."""
    return Console(
        file=cast(TextIO, Steady()),
        quiet=not speaks(),
        emoji=False,
        highlight=False,
        soft_wrap=True,
        force_jupyter=False,
    )


def say(message: str) -> None:
    """Print one line on stderr: what is being done, or what the user should know.

    Only the first process of a job prints.
    """
    if speaks():
        tell(message)


def tell(message: str) -> None:
    """Print one line on stderr even from a process that is otherwise silent."""
    out = Steady()
    out.write(harmless(message) + "\n")
    out.flush()


@contextmanager
def decoration(what: str) -> Iterator[None]:
    """Run a block whose result the work can do without, such as a chart: an error in it only prints one line."""
    try:
        yield
    except Exception as error:
        say(f"{what} cannot be drawn ({reason(error)}); it is left out")


@contextmanager
def progress(what: str, total: float | None, *, unit: str = "") -> Iterator[Callable[[float], None]]:
    """Show a progress bar labeled `what` while the block runs; yields a function that advances it.

    If stderr is not a terminal, one line is printed at the start and there is no bar, so that logs stay readable.

    Args:
        what: what is being done.
        total: the value at which the bar is full, in the unit that is counted; None if unknown.
        unit: "B" counts bytes; "" counts items.
    """
    if in_notebook() and speaks():
        with _below_the_cell(what, total, unit) as advance:
            yield advance
        return
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


@contextmanager
def _below_the_cell(what: str, total: float | None, unit: str) -> Iterator[Callable[[float], None]]:
    """`progress` in a notebook."""
    bar, done = Bar(), 0.0

    def advance(amount: float) -> None:
        nonlocal done
        done += amount
        count = f"{done / 1e6:,.1f} MB" if unit == "B" else f"{done:,.0f}"
        with decoration("the progress bar"):
            bar.show(done, total, f"{what}: {count}")

    try:
        yield advance
    finally:
        with decoration("the progress bar"):
            bar.stop()


def terminal_width() -> int:
    """Width of the terminal in columns; 80 if there is no terminal."""
    return shutil.get_terminal_size().columns


def as_text(table: RenderableType, width: int) -> str:
    """Render a table as lines of text, the same in a terminal, a file and a notebook.

    Colors are left out, even where they are requested.
    """
    page = io.StringIO()
    plain: dict[str, Any] = {"force_terminal": False, "force_jupyter": False, "color_system": None}
    Console(file=page, width=width, emoji=False, highlight=False, **plain).print(table)
    return "\n".join(harmless(line.rstrip()) for line in page.getvalue().rstrip().split("\n"))


_closed = False  # whether this process was started without stdout


def settle_streams() -> None:
    """Make stdout and stderr accept any text, for our commands: characters that their encoding lacks become ASCII.

    If one of the file descriptors 0, 1 and 2 is closed, it is opened on the null device, so that no file opened later
    gets this number and then receives what is printed.
    """
    global _closed
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, so this one
    _closed = sys.stdout is None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=PLAIN)


class Page(io.StringIO):
    """Collect the text for stdout, to be printed later by `result`; looks like stdout to the code that writes to it."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and not sys.__stdout__.closed and sys.__stdout__.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the encoding of the final output
        return getattr(sys.__stdout__, "encoding", None) or "utf-8"


def result(text: str, keep: str = "\n") -> None:
    """Print a command's result on stdout.

    Raises:
        OutputError: stdout is closed or full.
        BrokenPipeError: the reader of the pipe has ended.
    """
    try:
        if _closed:
            raise OSError("it is closed")
        print(harmless(text, keep), flush=True)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the caller of `main` has closed the stream
        raise OutputError(f"cannot write to standard output ({reason(error)}): the output is lost") from None


def close_streams() -> None:
    """Flush stdout and stderr; drop what can no longer be written, so that Python does not complain about it at exit.

    Raises OutputError in the cases of `result`, after both streams were flushed.
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
