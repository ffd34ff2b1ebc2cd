"""A training is asked to stop through its folder: by a file in it, which only the process that trains there looks for.

So nobody has to know that process, which may be of another user or machine, and no other can be hit.
"""

from __future__ import annotations

import time
from contextlib import suppress

from counterfeit.runs.folder import RunFolder, RunRecord

FILE = ".stop"
LOOK = 0.5  # seconds between two looks
GRIDS = ("compare",)  # commands that train many runs, none of which is stopped alone


def ask_to_stop(folder: RunFolder) -> None:
    """Ask whoever trains in the folder to stop at a step, with a checkpoint. Raises OSError."""
    (folder.path / FILE).touch()


def can_be_asked(record: RunRecord) -> bool:
    """Whether the training that was started last is one that looks for the file: all but those of grids."""
    made = record.resumed_by[-1] if record.resumed_by else record.made_by
    command = made.get("command")
    return isinstance(command, list) and not any(word in GRIDS for word in command[1:2])


class Asked:
    """Whether the training in a folder has been asked to stop since this was asked first."""

    def __init__(self, folder: RunFolder) -> None:
        self._file = folder.path / FILE
        self._next, self._found, self._began = 0.0, False, False

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next or self._found:
            return self._found
        self._next = now + LOOK
        with suppress(OSError):
            self._file.unlink()
            self._found = self._began  # what was there before was meant for another training
        self._began = True
        return self._found
