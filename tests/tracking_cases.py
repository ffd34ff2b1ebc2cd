"""A stand-in for a tracker, which keeps in a file what it is given, or fails where it is told to."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from counterfeit.runs.log import LogRow
from counterfeit.scoring import Score
from counterfeit.tracking.tracker import About, Entry, Tracker

FAILS = {"at": ""}  # the method that raises; or "hangs"
release = threading.Event()  # of one that hangs


class Kept(Tracker):
    """Lines of JSON in RUN/kept.jsonl."""

    def begin(self, about: About, earlier: str | None) -> str:
        self.file = about.folder / "kept.jsonl"
        self.keep("begin", {"name": about.name, "settings": about.settings, "earlier": earlier})
        return earlier or "first"

    def row(self, row: LogRow) -> None:
        self.keep("row", row.to_json())

    def picture(self, name: str, step: int, path: Path) -> None:
        self.keep("picture", [name, step, path.name])

    def score(self, name: str, step: int, score: Score, path: Path) -> None:
        self.keep("score", {metric: scored.value for metric, scored in score.items()})

    def end(self, how: str) -> None:
        self.keep("end", how)

    def where(self) -> str:
        return f"cat {self.file}"

    def keep(self, what: str, value: Any) -> None:
        if FAILS["at"] == "hangs":
            release.wait(20)
        if FAILS["at"] == what:
            raise ZeroDivisionError(f"{what} has failed\nof all things")
        with self.file.open("a") as file:
            file.write(json.dumps([what, value]) + "\n")


ENTRY = Entry("tracking_cases:Kept", "json")


def kept(run: Path, what: str) -> list[Any]:
    """What the tracker was given of a kind, in order."""
    lines = [json.loads(line) for line in (run / "kept.jsonl").read_text().splitlines()]
    return [value for kind, value in lines if kind == what]
