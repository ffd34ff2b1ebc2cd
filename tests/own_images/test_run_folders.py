"""Runs are not folders of images, and every path is resolved once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from own_images_cases import ASKED, QUICK, refused, write_folder

import counterfeit as cf


@pytest.mark.parametrize("wrong", ["runs", "runs/vae/samples", "runs/vae/samples/report", "photos"])
def test_a_run_is_not_a_folder_of_images(wrong: str, home: Path, command) -> None:
    """Used to score curves.png and the sample grids, with exit code 0; photos holds a run deep below."""
    shutil.copytree("run", "runs/vae")
    shutil.copytree("run/samples", "runs/vae/samples/report")
    write_folder(Path("photos"), cf.load_data("pics").images[:20])
    shutil.copytree("run", "photos/a/b/vae")
    run = "photos/a/b/vae" if wrong == "photos" else "runs/vae"
    np.savez("fakes.npz", images=cf.load_data("pics").images)
    for words in (
        ["score", wrong, "--real", "pics", *ASKED],
        ["score", "fakes.npz", "--real", wrong, *ASKED],
        ["cas", wrong, "--real", "mnist5k"],
        ["train", "vae", "--data", wrong, "--out", "new"],
    ):
        refused(command(*words), run, "counterfeit score")
    assert not Path("new").exists()


def test_a_run_given_as_real_images_is_named(home: Path, command) -> None:
    refused(command("score", "pics", "--real", "run", *ASKED), "run is a run", "counterfeit score run")
    refused(command("train", "vae", "--data", "run", "--out", "new"), "run is a run")


def test_a_tilde_is_expanded_for_every_path(home: Path, command, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "elsewhere")
    right = cf.score(home / "run", **QUICK)["FID[fashion-cnn]"].value
    scored = command("score", "~/run", "--json", *ASKED)
    assert json.loads(scored.out)["metrics"]["FID[fashion-cnn]"]["value"] == right
    explicit = command("score", "~/run", "--real", "~/pics", "--json", *ASKED)
    assert json.loads(explicit.out)["metrics"]["FID[fashion-cnn]"]["value"] == right
    fixed = command("score", "~/pics", "--real", "~/pics", "--json", *ASKED)
    assert json.loads(fixed.out)["receipt"]["generated"]["name"] == str(home / "pics")
    trained = command("train", "vae", "--data", "~/pics", "--epochs", 1, "--out", "~/two")
    assert trained.code == 0 and cf.load("~/two").data.path == str(home / "pics")
    assert command("sample", "~/two", "-n", 4, "--out", "~/grid.png").code == 0 and (home / "grid.png").exists()
    assert command("report", "~/two", "--out", "~/page.html", *ASKED).code == 0 and (home / "page.html").exists()
    assert command("compare", "~/two", "--out", "~/table", *ASKED).code == 0
    assert (home / "table" / "comparison.json").exists()
    refused(command("score", "~/two", "--weights", "~/none.pt", "--detector", "inception"), str(home / "none.pt"))
    refused(command("score", "~/two", "--detector", "~/none.onnx"), str(home / "none.onnx"))
    assert not (home / "elsewhere" / "~").exists()


def test_an_opened_run_stays_where_it_is_when_the_process_goes_on(home: Path, monkeypatch) -> None:
    """The weights are read on first use: from another folder that also holds `run`, they would be another's."""
    run = cf.load("run")
    expected = cf.load("run").sample(4)
    shutil.copytree("run", "elsewhere/run")
    for path in Path("elsewhere/run/checkpoint").iterdir():
        path.unlink()
    monkeypatch.chdir("elsewhere")
    assert np.array_equal(run.sample(4), expected) and run.name == "run"
