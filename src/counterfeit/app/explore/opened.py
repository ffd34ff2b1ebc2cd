"""The runs that are being explored, with their models in memory: a few, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterfeit.errors import RunError
from counterfeit.exploring import Explorer
from counterfeit.run import Run
from counterfeit.runs import RunFolder
from counterfeit.runs.checkpoint import INDEX
from counterfeit.system.memory import in_bytes

MOST_RUNS = 4
MOST_BYTES = 1 << 30
MOST_VARIANTS = 4  # options of sampling in use at the same time, of each run

Stamp = tuple[int, int]


@dataclass
class _Entry:
    """A run in memory.

    Attributes:
        stamp: of the checkpoint that was read: a run that trains on is read again.
        explorer: with the usual options of sampling.
        variants: the same with other options.
    """

    stamp: Stamp
    explorer: Explorer
    variants: dict[tuple[tuple[str, Any], ...], Explorer] = field(default_factory=dict)


class Opened:
    """Explorers by the folders of their runs. For one thread."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Path, _Entry] = OrderedDict()

    def explorer(self, folder: RunFolder, options: Mapping[str, Any] | None = None) -> Explorer:
        """The explorer of a run as it is now, with these options of sampling.

        Raises RunError if it is no longer there or damaged, InputError if it has no such options.
        """
        entry = self._entry(folder)
        self._entries.move_to_end(folder.path)
        if not options:
            return entry.explorer
        key = tuple(sorted(options.items()))
        if key not in entry.variants:
            made = entry.explorer.with_sampling(**options)
            if len(entry.variants) >= MOST_VARIANTS:
                entry.variants.pop(next(iter(entry.variants)))
            entry.variants[key] = made
        return entry.variants[key]

    def shrink(self) -> None:
        """Drop those that were not asked for lately, as long as there are too many. The last one always stays."""
        while len(self._entries) > 1 and (len(self._entries) > MOST_RUNS or self.nbytes > MOST_BYTES):
            self._entries.popitem(last=False)

    @property
    def nbytes(self) -> int:
        """About the memory that they take."""
        return sum(entry.explorer.nbytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, folder: RunFolder) -> _Entry:
        stamp = _stamp(folder)
        found = self._entries.get(folder.path)
        if found is None or found.stamp != stamp:
            self._entries.pop(folder.path, None)
            found = _Entry(stamp, _opened(folder))
            self._entries[folder.path] = found
        return found


def _opened(folder: RunFolder) -> Explorer:
    run = Run(folder.path, "cpu", str(folder))
    size = 4 * sum(one.numel() for one in (*run.model.parameters(), *run.model.buffers()))
    if size > MOST_BYTES:
        raise RunError(f"{folder} has a model of {in_bytes(size)}: only those of {in_bytes(MOST_BYTES)} are explored")
    return Explorer(run)


def _stamp(folder: RunFolder) -> Stamp:
    """Which checkpoint a run has now. Raises RunError if the run has none, or is not there."""
    try:
        found = (folder.checkpoint / INDEX).stat()
    except OSError:
        there = folder.holds_run()
        why = "has no checkpoint yet: wait for its first epoch" if there else "is not there any more"
        raise RunError(f"{folder} {why}") from None
    return found.st_mtime_ns, found.st_ino
