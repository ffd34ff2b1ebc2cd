"""A training is asked to stop through its folder: by a file in it, which only the process that trains there looks for.

So nobody has to know that process, which may be of another user or machine, and no other can be hit.
"""

from __future__ import annotations

import time
from contextlib import suppress

from counterfeit.runs.folder import RunFolder

FILE = ".stop"
LISTENS = ".listens"  # in the folder while somebody looks for FILE; what a killed process leaves is removed by the next
LOOK = 0.5  # seconds between two looks


def ask_to_stop(folder: RunFolder) -> None:
    """Ask whoever trains in the folder to stop at a step, with a checkpoint. Raises OSError."""
    (folder.path / FILE).touch()


def can_be_asked(folder: RunFolder) -> bool:
    """Whether a training that holds the folder looks for the file: one of a grid does not, nor one that only starts."""
    return (folder.path / LISTENS).exists()


class Asked:
    """Whether the training in a folder, which this process holds, has been asked to stop; one of a grid never is."""

    def __init__(self, folder: RunFolder, alone: bool) -> None:
        self._file, self._listens, self._alone = folder.path / FILE, folder.path / LISTENS, alone
        self._next, self._found, self._began = 0.0, False, False

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next or self._found:
            return self._found
        self._next = now + LOOK if self._alone else float("inf")
        with suppress(OSError):
            self._file.unlink()
            self._found = self._began  # what was there before was meant for another training
        if not self._began:
            self._began = True
            with suppress(OSError):
                self._listens.touch() if self._alone else self._listens.unlink()
        return self._found

    def close(self) -> None:
        """Nobody looks any more."""
        if self._began:
            with suppress(OSError):
                self._listens.unlink()
