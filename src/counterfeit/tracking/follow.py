"""Trackers beside a training: a thread for each, which the training neither waits for nor depends on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from counterfeit.runs import RunFolder
from counterfeit.system.console import say
from counterfeit.system.text import reason
from counterfeit.tracking.mirror import Mirror
from counterfeit.tracking.tracker import ENDS

INTERVAL = 1.0  # seconds between two looks into the run folder
PATIENCE = 120.0  # seconds that the trackers have after the end of the training


@contextmanager
def followed(folder: RunFolder, names: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Mirror a training in these trackers while the block runs; yields what starts them, once the run folder is there.

    A tracker that fails, or is not done PATIENCE seconds after the end, is given up with one line.
    """
    followers = [_Follower(folder, name) for name in names]
    waiting = list(followers)

    def begin() -> None:
        while waiting:
            waiting.pop().start()

    how = "failed"
    try:
        yield begin
        how = "finished"
    except KeyboardInterrupt:
        how = "stopped"
        raise
    finally:
        for follower in followers:
            follower.close(how)
        until = time.monotonic() + PATIENCE
        for follower in followers:
            follower.wait(until)


class _Follower(threading.Thread):
    """Mirrors a run in one tracker until the training has ended."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        super().__init__(name=f"counterfeit-{name}", daemon=True)
        self.mirror = Mirror(folder, name)
        self.how: str | None = None
        self._ended, self._given_up = threading.Event(), False

    def run(self) -> None:
        try:
            self.mirror.begin()
            while not self._ended.wait(INTERVAL):
                self.mirror.catch_up()
            if self._given_up:  # others may have opened the record since
                return
            self.mirror.catch_up()
            say(f"{self.mirror.name}: {self.mirror.end(self.how or ENDS[-1])}")
        except BaseException as error:  # of somebody else's program, which may raise anything
            self._give_up(reason(error))
            self.mirror.give_up()

    def close(self, how: str) -> None:
        """The training has ended in this way."""
        self.how = how
        self._ended.set()

    def wait(self, until: float) -> None:
        """Until all is handed over; not longer than until this time of the monotonic clock."""
        if self.is_alive():
            self.join(max(0.0, until - time.monotonic()))
            if self.is_alive():
                self._give_up(f"not done after {PATIENCE:.0f} seconds")

    def _give_up(self, why: str) -> None:
        if self._given_up:
            return
        self._given_up = True
        name, folder = self.mirror.name, self.mirror.folder
        say(
            f"{name} failed ({why}); the run is not affected, and `counterfeit track {folder} --to {name}` "
            "sends what is missing"
        )
