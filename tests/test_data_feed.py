"""Batches of a memory map, read ahead of the step, against those gathered in memory; and their memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.data.feed import chosen_rows, feed
from counterfeit.data.rows import is_stored, take
from counterfeit.data.stored import open_stored
from counterfeit.errors import DataError
from counterfeit.models import MODELS
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.training.loop import Stepped
from counterfeit.training.trainer import Training

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path: Path) -> np.ndarray:
    """1,000 distinct images of 3x8x8, as a memory map."""
    return on_disk(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (1000, 3, 8, 8), np.uint8))


def on_disk(path: Path, images: np.ndarray) -> np.ndarray:
    np.save(path, images)
    return open_stored(path, hashlib.sha256(path.read_bytes()).hexdigest())


def batches(images: np.ndarray | torch.Tensor, steps: range) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    labels = torch.arange(1000)
    return list(feed(images, labels, chosen_rows(1000, 128, 5, (divmod(step, 7) for step in steps), CPU), CPU))


def test_a_memory_map_gives_the_batches_that_memory_gives_from_any_step_on(stored: np.ndarray) -> None:
    assert is_stored(stored)
    inside = torch.from_numpy(np.array(stored))
    whole = batches(inside, range(16))  # two epochs of 7 steps, and two steps of a third
    for start in (0, 3, 7, 10):
        for one, two in zip(whole[start:], batches(stored, range(start, 16)), strict=True):
            assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert torch.equal(whole[0][0], inside[whole[0][1]]), "images and labels belong together"
    assert sorted(torch.cat([labels for _, labels in whole[:7]]).unique().tolist()) == sorted(
        torch.cat([labels for _, labels in whole[:7]]).tolist()
    ), "no image twice in an epoch"


def test_rows_of_a_map_are_those_of_the_array(stored: np.ndarray) -> None:
    rows = np.array([999, 0, 5, 5, 998])
    assert np.array_equal(take(stored, rows), np.array(stored)[rows])
    part = stored[:10]
    assert not is_stored(part) and np.array_equal(take(part, rows[1:4]), np.array(part)[rows[1:4]])


def test_a_file_that_was_cut_short_is_said_where_the_batch_is_asked_for(stored: np.ndarray) -> None:
    path = Path(str(stored.filename))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(
        DataError, match="images.npy cannot be read .its content is not what was stored.; run the command again"
    ):
        batches(stored, range(7))


GROWTH = """
import hashlib, sys
from pathlib import Path
import torch
from counterfeit.data.feed import chosen_rows, feed
from counterfeit.data.stored import open_stored

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024

images = open_stored(Path(sys.argv[1]), hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())
cpu = torch.device("cpu")
batches = [(0, i) for i in range(len(images) // 100)]
steps = feed(images, None, chosen_rows(len(images), 100, 0, batches, cpu), cpu)
next(steps)
before = resident()
for _ in steps:
    pass
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_an_epoch_over_a_map_does_not_take_the_maps_memory(tmp_path: Path) -> None:
    """61 MB of images, all looked at: less than a fifth of that may stay, and looking through the map leaves it all."""
    np.save(tmp_path / "images.npy", np.ones((20_000, 3, 32, 32), np.uint8))
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "images.npy")]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 12


def test_a_run_on_a_folder_that_is_stopped_goes_on_exactly_and_is_that_on_its_array(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(70):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    config = MODELS["cvae"].settings.replace({"data": str(tmp_path / "photos"), "epochs": 2, "batch_size": 16})
    data = cf.load_data(tmp_path / "photos")

    def trained(name: str, stop_at: int | None = None, **options: Any) -> dict[str, torch.Tensor]:
        settings = config.replace({"data": "array"}) if "array" in options else config
        seen: list[object] = []
        training = Training("cvae", settings, RunFolder(tmp_path / name), **options)
        for event in training.events(lambda: stop_at is not None and Stepped(stop_at, 8) in seen):
            seen.append(event)
        return load_checkpoint(tmp_path / name / "checkpoint", ("model",))["model"]

    whole = trained("whole")
    halfway = trained("parts", stop_at=2)  # of 4 steps in an epoch
    parts = trained("parts", resume=True)
    array = trained("array", array=np.array(data.images), labels=data.labels)
    assert any(not torch.equal(halfway[name], value) for name, value in whole.items())
    for name, value in whole.items():
        assert torch.equal(value, parts[name]) and torch.equal(value, array[name]), name


def test_a_run_whose_images_are_gone_says_so_in_one_line(tmp_path: Path) -> None:
    """They are read by the step, not kept open: as where another deletes the cache."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(8):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(photos / f"{i}.png")
    data = cf.load_data(photos)
    config = MODELS["vae"].settings.replace({"data": str(photos), "batch_size": 4})
    events = Training("vae", config, RunFolder(tmp_path / "run")).events()
    next(events)
    Path(str(data.images.filename)).unlink()
    with pytest.raises(DataError, match="images.npy cannot be read .No such file or directory.; run the command again"):
        list(events)
