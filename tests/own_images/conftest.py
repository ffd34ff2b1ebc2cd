"""A home with own images and a run that was trained on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from own_images_cases import change_record, write_folder

import counterfeit as cf


@pytest.fixture(scope="module")
def real(test_cache) -> tuple[np.ndarray, np.ndarray]:
    """400 digits and their labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        whole = cf.load_data("mnist5k")
    return whole.images[::12][:400], whole.labels[::12][:400]


@pytest.fixture(scope="module")
def made(tmp_path_factory, test_cache, real) -> Path:
    """A home with the folder pics, trained on as `--data pics`, and elsewhere/pics, a folder of noise."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        write_folder(Path("pics"), real[0][:200])
        noise = np.random.default_rng(0).integers(0, 256, (200, 1, 28, 28), np.uint8)
        write_folder(Path("elsewhere/pics"), noise)
        cf.train("vae", "pics", out="run", epochs=1, quiet=True)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of that home, which the test may spoil, and the folder that it is in; the run knows its new place."""
    copy = tmp_path / "home"
    shutil.copytree(made, copy)
    change_record(copy / "run", path=str(copy / "pics"))
    monkeypatch.chdir(copy)
    return copy
