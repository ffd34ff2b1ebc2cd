"""What a person sees while we work: messages and progress, always on stderr, so that stdout stays for results.

Of the processes that torchrun started, the first speaks for all.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def speaks() -> bool:
    """Whether this process is the one of its job that the user hears."""
    return os.environ.get("RANK", "0") == "0"


def stderr() -> Console:
    """A console on the stderr of this moment (tests and notebooks replace it)."""
    return Console(file=sys.stderr, quiet=not speaks(), emoji=False, highlight=False, soft_wrap=True)


def as_text(table: RenderableType, width: int) -> str:
    """A table as plain text of so many columns, also in a notebook, where rich would show it and leave nothing."""
    page = Console(
        file=io.StringIO(), width=width, emoji=False, highlight=False, force_jupyter=False, color_system=None
    )
    page.print(table)
    return page.file.getvalue().rstrip()  # type: ignore[attr-defined]


def say(message: str) -> None:
    """One line for the person: what is being done, or what they should know."""
    stderr().print(message, markup=False)


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
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
