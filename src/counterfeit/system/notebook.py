"""Jupyter: whether this is one, and a line of HTML in the cell that changes in place."""

from __future__ import annotations

import html
import sys
import time
from typing import Any

PAUSE = 0.2  # seconds between two changes


def in_notebook() -> bool:
    """Whether this code runs in a cell of a notebook. IPython in a terminal is a terminal."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class Bar:
    """A progress bar below the cell, which is gone when it is stopped."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)
        self._next = 0.0

    def show(self, done: float, total: float | None, text: str) -> None:
        """Change it; calls that follow each other too quickly change nothing."""
        if self._handle is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PAUSE
        full = f' value="{done}" max="{total}"' if total else ""
        self._handle.update(
            self._html(f'<progress style="width: 16em"{full}></progress> <code>{html.escape(text)}</code>')
        )

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.update(self._html(""))
            self._handle = None
