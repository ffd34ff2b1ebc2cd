"""TensorBoard: event files in the run folder, which `tensorboard --logdir` finds in a folder of runs."""

from __future__ import annotations

import json
import re
import secrets
import struct
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from counterfeit.runs.log import LogRow, Trouble
from counterfeit.scoring import Score
from counterfeit.system import reading
from counterfeit.tracking.mirror import MOST_PICTURE
from counterfeit.tracking.tracker import About, Tracker, values

EVENTS = "events.out.tfevents.*"
IDENTIFIER = re.compile("[0-9a-f]{16}")  # of a record


class TensorBoard(Tracker):
    """Scalars by the names of log.jsonl in float64, sample grids, and the settings as text."""

    def begin(self, about: About, earlier: str | None) -> str:
        name, self.place = self._place(about.folder / "tensorboard", earlier)
        goes_on = name == earlier
        self.writer = SummaryWriter(str(self.place))
        if not goes_on:
            told = {**about.facts, **about.settings}
            table = "\n".join(f"|{name}|{_cell(value)}|" for name, value in told.items())
            self.writer.add_text("settings", f"|setting|value|\n|-|-|\n{table}", 0)
        return name

    def row(self, row: LogRow) -> None:
        if isinstance(row, Trouble):
            self.writer.add_text("trouble", str(row), row.step)
        for name, value in values(row).items():
            self._scalar(name, value, row.step)

    def picture(self, name: str, step: int, path: Path) -> None:
        encoded = reading.content(path, MOST_PICTURE)
        width, height = struct.unpack(">II", encoded[16:24])  # PNG's first chunk
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
        self.writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def score(self, name: str, step: int, score: Score, path: Path) -> None:
        for metric, scored in score.items():
            self._scalar(f"{name}/{metric}", scored.value, step)
        receipt = json.dumps(score.to_dict(), indent=2)
        self.writer.add_text(f"{name}/receipt", "\n".join(f"    {line}" for line in receipt.splitlines()), step)

    def flush(self) -> None:
        self.writer.flush()

    def end(self, how: str) -> None:
        self.writer.close()

    def where(self) -> str:
        return f"tensorboard --logdir {self.place}"

    @staticmethod
    def _place(home: Path, earlier: str | None) -> tuple[str, Path]:
        """Identifier and folder of the record: the earlier one, or a new one, which mixes with no events of another."""
        if earlier is not None and IDENTIFIER.fullmatch(earlier):
            for place in (home / earlier, home):
                if any(place.glob(EVENTS)):
                    return earlier, place
        name = secrets.token_hex(8)
        return name, home / name if any(home.glob(EVENTS)) else home

    def _scalar(self, name: str, value: float, step: int) -> None:
        self.writer.add_scalar(name, value, step, new_style=True, double_precision=True)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
