"""A run folder of version 0.1.0 is loaded, sampled, scored, compared and reported today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import counterfeit as cf

# Made by `counterfeit train cvae --data mnist5k --epochs 2 --latent 4 --encoder-width 16 --decoder-width 16
# --score-every 2` of the last commit of 0.1.0, and scored by `counterfeit score -n 500`.
KEPT = Path(__file__).parent / "runs/cvae-0.1.0"
FID = 2293.208


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return shutil.copytree(KEPT, tmp_path / "cvae")


def test_it_samples_and_scores(old: Path) -> None:
    """Its samples are those of today's seeds, and other images than 0.1.0 drew: the FIDs of both agree within the
    scatter of 500 samples. Today's is kept to 1e-4 of itself, which other processors' rounding does not reach."""
    run = cf.load(old)
    (then,) = (old / "scores").glob("*.json")
    of_then = json.loads(then.read_text())["metrics"]["FID[mnist-cnn]"]
    fid = run.score(n=500)["FID[mnist-cnn]"]
    assert fid.value == pytest.approx(FID, rel=1e-4)
    assert abs(fid.value - of_then["value"]) < 4 * fid.uncertainty
    real = run.real("train")
    assert run.reconstruct(real.images[:3], labels=real.labels[:3]).shape == (3, 1, 28, 28)
    assert run.config.latent == 4 and run.data.name == "mnist5k"


def test_it_is_compared_and_reported(old: Path, command) -> None:
    assert command("compare", old, "-n", 500, "--out", "table").code == 0
    assert command("report", old, "-n", 500, "--out", "page.html").code == 0
    assert "cvae" in Path("page.html").read_text() and "cvae" in Path("table/table.md").read_text()


def test_it_is_not_continued(old: Path, command) -> None:
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    done = command("train", "cvae", "--out", old, "--resume", "--epochs", 3)
    assert done.code == 2 and "0.1.0" in done.err and done.err.count("\n") == 1
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file() and path.name != ".lock"} == before
