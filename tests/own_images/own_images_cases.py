"""Own images for tests: a folder of them, and what a command that refuses them says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

QUICK = {"metrics": "fid", "n": 50, "device": "cpu"}
ASKED = ["--metrics", "fid", "-n", 50]


def write_folder(folder: Path, images: np.ndarray, labels: np.ndarray | None = None) -> Path:
    """uint8 (N, 1, H, W) as PNG files, in a subfolder a class where there are labels."""
    for i, image in enumerate(images):
        path = folder / ("" if labels is None else str(labels[i])) / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
    return folder


def change_record(run: Path, **data) -> None:
    record = json.loads((run / "run.json").read_text())
    record["data"].update(data)
    for name in [name for name, value in data.items() if value is ...]:
        del record["data"][name]
    (run / "run.json").write_text(json.dumps(record))


def refused(outcome, *says: str) -> None:
    """Exit code 2, and one line at the end with all of `says`."""
    assert outcome.code == 2 and outcome.out == "" and "Traceback" not in outcome.err, outcome
    line = outcome.err.strip().splitlines()[-1]
    for words in says:
        assert words in line, f"{words!r} is not in {line!r}"
