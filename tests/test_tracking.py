"""Trackers: a run mirrored in another program, by a stand-in; the programs themselves are in test_trackers.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
import tracking_cases
from counterfeit.runs import RunFolder
from counterfeit.runs.log import EpochScore, Steps
from counterfeit.tracking import TRACKERS, Mirror, follow
from tracking_cases import ENTRY, FAILS, kept

QUICK = {"batch_size": 8, "latent": 4, "encoder_width": 4, "decoder_width": 4, "quiet": True, "log_every": 1}
IMAGES = np.random.default_rng(0).integers(0, 256, (32, 28, 28), np.uint8)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker `kept`, which does not fail."""
    monkeypatch.setitem(TRACKERS._things, "kept", ENTRY)
    monkeypatch.setitem(FAILS, "at", "")
    monkeypatch.setattr(follow, "INTERVAL", 0.01)


def test_a_tracker_has_what_the_run_folder_has(tmp_path: Path) -> None:
    run = cf.train("vae", IMAGES, epochs=2, out="run", track="kept", **QUICK)
    assert kept(run.path, "row") == run.log and len(run.log) >= 8
    named = [(name, int(file[-8:-4]), step) for name, step, file in kept(run.path, "picture")]
    assert sorted(named) == [(name, epoch, 4 * epoch) for name in ("reconstructions", "samples") for epoch in (1, 2)]
    assert kept(run.path, "end") == ["finished"]
    (begun,) = kept(run.path, "begin")
    assert begun == {"name": "run", "settings": run.config.to_dict(), "earlier": None}


def test_it_changes_nothing_of_the_run(tmp_path: Path) -> None:
    made = (("a", "kept"), ("b", None))
    runs = [cf.train("vae", IMAGES, epochs=1, out=out, track=track, **QUICK) for out, track in made]
    assert runs[0].weights_sha256 == runs[1].weights_sha256
    a, b = (json.loads((run.path / "run.json").read_text()) for run in runs)
    assert a["settings"] == b["settings"]
    again = cf.train("vae", IMAGES, epochs=1, out="a", resume=True, **QUICK)  # without it: the same run
    assert again.weights_sha256 == runs[0].weights_sha256


def test_a_resumed_run_goes_on_in_the_same_record(tmp_path: Path) -> None:
    for epochs in (1, 3):
        run = cf.train("vae", IMAGES, epochs=epochs, out="run", resume=epochs > 1, track=["kept"], **QUICK)
    assert [begun["earlier"] for begun in kept(run.path, "begin")] == [None, "first"]
    rows = kept(run.path, "row")
    assert [row for row in rows if row["step"] > 4] == run.log[-len([r for r in rows if r["step"] > 4]) :]
    assert [row["step"] for row in rows if "images_per_s" in row] == list(range(1, 13))


def test_rows_that_are_made_again_are_sent_once(tmp_path: Path) -> None:
    """A kill loses what came after the checkpoint; a step may have several rows, of which only some were sent."""
    run = cf.train("vae", IMAGES, epochs=1, out="run", **QUICK)
    folder = RunFolder(run.path)
    cf.track(run, "kept")
    folder.cut_log(2)
    for row in (Steps(1, 3, {"loss": 1.0}, 5.0), Steps(1, 4, {"loss": 1.0}, 5.0), Steps(1, 4, {"loss": 2.0}, 5.0)):
        folder.append_log(row)  # three made again; the log has had two rows of step 4, the losses and the test's
    folder.append_log(EpochScore(1, 4, "FID[x]", 2.0))
    folder.append_log(Steps(2, 5, {"loss": 3.0}, 5.0))
    cf.track("run", ["kept"])
    assert [(row["step"], row.get("FID[x]")) for row in kept(run.path, "row")][-2:] == [(4, 2.0), (5, None)]
    assert len(kept(run.path, "row")) == 5 + 2


def test_a_finished_run_is_sent_with_its_scores_and_only_once(command, tmp_path: Path) -> None:
    run = cf.train("vae", IMAGES, epochs=1, out="run", **QUICK)
    score = run.score(IMAGES, n=16, detector="mnist-cnn", metrics=["fid"])
    said = command("track", "run", "--to", "kept")
    assert (said.code, said.out.split()) == (0, ["kept", "cat", str(run.path / "kept.jsonl")])
    assert kept(run.path, "score") == [{name: scored.value for name, scored in score.items()}]
    assert kept(run.path, "row") == run.log
    before = (run.path / "kept.jsonl").read_text()
    command("track", "run", "--to", "kept")
    more = [json.loads(line)[0] for line in (run.path / "kept.jsonl").read_text().removeprefix(before).splitlines()]
    assert more == ["begin", "end"]


def test_pictures_are_sent_in_the_order_of_the_steps(tmp_path: Path) -> None:
    cf.train("vae", IMAGES, epochs=3, out="run", **QUICK)
    cf.track("run", "kept")
    lines = [json.loads(line) for line in Path("run/kept.jsonl").read_text().splitlines()]
    steps = [value["step"] if kind == "row" else value[1] for kind, value in lines if kind in ("row", "picture")]
    assert steps == sorted(steps)


@pytest.mark.parametrize("at", ["begin", "row", "picture", "end"])
def test_a_tracker_that_fails_ends_no_training(at: str, monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setitem(FAILS, "at", at)
    run = cf.train("vae", IMAGES, epochs=2, out="run", track="kept", **QUICK)
    assert run.record.finished
    assert capsys.readouterr().err == (
        f"kept failed (ZeroDivisionError: {at} has failed of all things); the run is not affected, and "
        "`counterfeit track run --to kept` sends what is missing\n"
    )
    monkeypatch.setitem(FAILS, "at", "")
    cf.track("run", "kept")
    assert kept(run.path, "row") == run.log


def test_a_tracker_that_hangs_is_waited_for_no_longer_than_patience(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setitem(FAILS, "at", "hangs")
    monkeypatch.setattr(follow, "PATIENCE", 0.05)
    assert cf.train("vae", IMAGES, epochs=1, out="run", track="kept", **QUICK).record.finished
    tracking_cases.release.set()
    assert capsys.readouterr().err.startswith("kept failed (not done after 0 seconds)")


def test_a_failure_of_the_command_is_one_line(command, monkeypatch, tmp_path: Path) -> None:
    cf.train("vae", IMAGES, epochs=1, out="run", **QUICK)
    monkeypatch.setitem(FAILS, "at", "row")
    said = command("track", "run", "--to", "kept")
    assert (said.code, said.err) == (
        2,
        "counterfeit: kept failed (ZeroDivisionError: row has failed of all things): the run is not affected; "
        "try again\n",
    )
    Path("run/tracking/kept.json").write_text('{"id": 7}')
    said = command("track", "run", "--to", "kept")
    assert said.err.endswith("kept.json cannot be read (Expected `str`, got `int` - at `$.id`): remove it\n")


def test_a_tracker_without_its_package_is_one_line_before_anything(command, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("counterfeit.tracking.tracker.find_spec", lambda name: None)
    said = command("train", "vae", "--data", "mnist5k", "--out", "run", "--track", "wandb")
    assert said.code == 2 and not Path("run").exists()
    assert said.err == "counterfeit: --track wandb needs wandb, which is missing: pip install 'counterfeit[wandb]'\n"
    assert "did you mean 'mlflow'?" in command("track", "run", "--to", "mlfow").err


def test_a_folder_named_like_the_package_is_not_the_package(monkeypatch, tmp_path: Path) -> None:
    """As W&B leaves one where a training was started; a notebook imports from there."""
    (tmp_path / "nopackage").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(TRACKERS._things, "kept", type(ENTRY)(ENTRY.build, "nopackage"))
    with pytest.raises(cf.InputError, match="needs nopackage, which is missing"):
        cf.train("vae", IMAGES, out="run", track="kept", **QUICK)


def test_a_mirror_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(cf.InputError, match="is not a run"):
        Mirror(RunFolder("nothing"), "kept").begin()
