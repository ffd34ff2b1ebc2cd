"""One run in one tracker: what the run folder holds and the tracker has not yet."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from counterfeit.errors import RunError
from counterfeit.runs import RunFolder
from counterfeit.runs import log as logs
from counterfeit.runs.folder import MOST_LOG
from counterfeit.runs.log import LogRow
from counterfeit.scoring import score as scores
from counterfeit.system import reading
from counterfeit.system.files import Stamp, stamp, write_json
from counterfeit.system.reading import Malformed
from counterfeit.tracking.tracker import About, Tracker, made

PICTURE = re.compile(r"(epoch|reconstruction)-([0-9]{4,9})\.png")
TAGS = {"epoch": "samples", "reconstruction": "reconstructions"}
MOST_PICTURE = 256 << 20  # bytes of a grid
PART = 100  # rows, pictures and scores that are handed over, and recorded, at once

Count = Annotated[int, Meta(ge=0, le=reading.COUNT)]


@dataclass
class Sent:
    """What the tracker has: tracking/NAME.json of the run folder, so that a resumed run goes on in the same record.

    Attributes:
        id: of the record.
        started: when the run began: a folder may be begun anew, with another run.
        step: of the last row that was sent; -1 for none.
        rows: how many rows of that step were sent.
        files: pictures and scores that were sent, and the digest of each.
    """

    id: str = ""
    started: str = ""
    step: Annotated[int, Meta(ge=-1, le=reading.COUNT)] = -1
    rows: Count = 0
    files: dict[str, str] = field(default_factory=dict)


class Mirror:
    """Sends to a tracker what is new in a run folder, each time that it is asked to."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        self.folder, self.name = folder, name
        self.file = folder.path / "tracking" / f"{name}.json"
        self.tracker: Tracker | None = None
        self.sent = Sent()
        self._kept: Sent | None = None  # as it was written last
        self._stamps: dict[Path, Stamp] = {}  # of files that the record has as they are
        self._read = 0  # bytes of log.jsonl
        self._at = (-1, 0)  # step of the last row that was read, and how many of its rows were
        self._ends: dict[int, int] = {}  # epoch -> its last step

    def begin(self) -> None:
        """Open the record. Raises RunError where there is no run, and whatever the tracker raises."""
        about = about_run(self.folder)
        earlier = self._earlier()
        if earlier.started != about.started:
            earlier = Sent()
        self.tracker = made(self.name)
        found = self.tracker.begin(about, earlier.id or None)
        self.sent = earlier if found == earlier.id else Sent(found, about.started)
        self._keep()

    def catch_up(self) -> None:
        """Send the rows, pictures and scores that are new, in the order of their steps. Raises as `begin` does."""
        tracker = self.tracker
        assert tracker is not None
        drawn = self._pictures()
        rows = list(self._new_rows())
        newest = max(self._ends, default=0)
        items: list[tuple[int, int, Callable[[], None]]] = [
            (row.step, 0, partial(self._send_row, tracker, row)) for row in rows
        ]
        for epoch, tag, path in self._pictures():
            # One that was drawn since the log was read may be of an epoch whose last row is not known yet.
            if (epoch, tag, path) in drawn or epoch < newest:
                step = self._ends.get(epoch, max(self._ends.values(), default=0))
                items.append((step, 1, partial(self._send_file, path, partial(tracker.picture, tag, step, path))))
        sends = [send for _, _, send in sorted(items, key=lambda item: item[:2])]
        for path in sorted((self.folder.path / "scores").glob("*.json")):
            sends.append(partial(self._send_file, path, partial(self._send_score, tracker, path)))
        self._send(tracker, sends)

    def _send(self, tracker: Tracker, sends: list[Callable[[], None]]) -> None:
        """Send all, in parts. What was handed over before a failure is recorded, and so not sent again."""
        try:
            for at in range(0, max(len(sends), 1), PART):
                for send in sends[at : at + PART]:
                    send()
                tracker.flush()
                self._keep()
        except BaseException:
            if not tracker.buffers:  # else it may be what was only taken
                self._keep()
            raise

    def end(self, how: str) -> str:
        """Close the record; how to look at it."""
        assert self.tracker is not None
        self.tracker.end(how)
        return self.tracker.where()

    def give_up(self) -> None:
        """Close the record after a failure, as far as that goes."""
        if self.tracker is not None:
            with suppress(Exception):
                self.tracker.abandon()

    def _earlier(self) -> Sent:
        try:
            return reading.record(reading.content(self.file), Sent)
        except FileNotFoundError:
            return Sent()
        except (OSError, Malformed) as error:
            raise RunError(f"{self.file} cannot be read ({reading.reason(error)}): remove it") from None

    def _keep(self) -> None:
        if self.sent != self._kept:
            self.file.parent.mkdir(exist_ok=True)
            write_json(self.file, vars(self.sent))
            self._kept = replace(self.sent, files=dict(self.sent.files))

    def _new_rows(self) -> Iterator[LogRow]:
        """The whole rows that were written since the last time. Raises RunError where one is not one of ours."""
        try:
            with reading.opened(self.folder.log_file, MOST_LOG) as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                row = logs.parsed(line)
            except Malformed as error:
                raise RunError(f"{self.folder.log_file}: {error}") from None
            self._ends[row.epoch] = row.step
            yield row

    def _send_row(self, tracker: Tracker, row: LogRow) -> None:
        """Send a row unless the record has it: a resumed run makes rows again that came after its checkpoint."""
        self._at = (row.step, self._at[1] + 1 if row.step == self._at[0] else 1)
        if self._at > (self.sent.step, self.sent.rows):
            tracker.row(row)
            self.sent.step, self.sent.rows = self._at

    def _pictures(self) -> list[tuple[int, str, Path]]:
        """Epoch, tag and file of the sample grids that there are, in the order of the epochs."""
        there = self.folder.samples.iterdir() if self.folder.samples.is_dir() else ()
        named = [(PICTURE.fullmatch(path.name), path) for path in there]
        return sorted((int(found[2]), TAGS[found[1]], path) for found, path in named if found)

    def _send_file(self, path: Path, send: Callable[[], None]) -> None:
        """Send a file unless the record has it as it is."""
        try:
            now = stamp(os.stat(path))
            if self._stamps.get(path) == now:
                return
            digest = hashlib.sha256(reading.content(path, MOST_PICTURE)).hexdigest()
        except OSError as error:
            raise RunError(f"{path} cannot be read ({reading.reason(error)})") from None
        name = path.relative_to(self.folder.path).as_posix()
        if self.sent.files.get(name) != digest:
            send()
            self.sent.files[name] = digest
        self._stamps[path] = now

    def _send_score(self, tracker: Tracker, path: Path) -> None:
        try:
            score = scores.stored(path)
        except (OSError, Malformed) as error:
            return scores.ignored(path, error)
        tracker.score(path.stem.rpartition("-")[0], max(self._at[0], 0), score, path)  # without the digest in its name


def about_run(folder: RunFolder) -> About:
    """What is to be said of a run. Raises RunError where there is none."""
    record = folder.read_record()
    shape = "x".join(map(str, record.data.shape))
    facts = {
        "model": record.model,
        "images": f"{record.data.name} {record.data.split}, {record.data.n:,} images {shape}",
        "data_digest": record.data.digest,
        **{f"version_{name}": version for name, version in record.made_by.get("versions", {}).items()},
    }
    return About(folder.path.name, folder.path, record.config.to_dict(), facts, record.made_by.get("time", ""))
