"""Trackers: a run mirrored in another program, by a stand-in; the programs themselves are in test_trackers.py."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
import tracking_cases
from counterfeit.runs import RunFolder
from counterfeit.runs.log import EpochScore, LogRow, Steps
from counterfeit.tracking import TRACKERS, Mirror, follow, mirror
from counterfeit.tracking.tracker import About
from counterfeit.training import trainer
from tracking_cases import ENTRY, FAILS, Kept, kept

QUICK = {"batch_size": 8, "latent": 4, "encoder_width": 4, "decoder_width": 4, "quiet": True, "log_every": 1}
IMAGES = np.random.default_rng(0).integers(0, 256, (32, 28, 28), np.uint8)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker `kept`, which does not fail."""
    monkeypatch.setitem(TRACKERS._things, "kept", ENTRY)
    monkeypatch.setitem(FAILS, "at", "")
    monkeypatch.setattr(follow, "INTERVAL", 0.01)
    tracking_cases.release.clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without trackers, to be copied."""
    return cf.train("vae", IMAGES, epochs=1, out=tmp_path_factory.mktemp("trained") / "run", **QUICK).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> cf.Run:
    return cf.load(shutil.copytree(trained, tmp_path / "run"))


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


def test_rows_that_are_made_again_are_sent_once(run: cf.Run) -> None:
    """A kill loses what came after the checkpoint; a step may have several rows, of which only some were sent."""
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


def test_a_finished_run_is_sent_with_its_scores_and_only_once(command, run: cf.Run) -> None:
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


class Late(Kept):
    """A tracker that hands rows over when it is flushed, as often as `flushes` says."""

    buffers = True
    flushes = 1

    def begin(self, about: About, earlier: str | None) -> str:
        self.waiting: list[LogRow] = []
        return super().begin(about, earlier)

    def row(self, row: LogRow) -> None:
        self.waiting.append(row)

    def flush(self) -> None:
        if not self.flushes:
            raise ZeroDivisionError
        self.flushes -= 1
        while self.waiting:
            super().row(self.waiting.pop(0))


def test_what_was_only_buffered_is_not_recorded_as_sent(monkeypatch, run: cf.Run) -> None:
    monkeypatch.setattr(mirror, "made", lambda name: Late())
    monkeypatch.setattr(mirror, "PART", 2)
    with pytest.raises(cf.InputError, match="kept failed"):
        cf.track(run, "kept")
    assert kept(run.path, "row") == run.log[:2] and len(run.log) >= 4
    monkeypatch.setattr(Late, "flushes", 99)
    cf.track(run, "kept")
    assert kept(run.path, "row") == run.log


def test_a_run_that_is_begun_anew_has_a_new_record(monkeypatch, run: cf.Run) -> None:
    """A folder without a checkpoint: the rows of the other run are gone."""
    cf.track(run, "kept")
    shutil.rmtree(run.folder.checkpoint)
    provenance = trainer.provenance
    monkeypatch.setattr(trainer, "provenance", lambda *args: {**provenance(*args), "time": "2000-01-01T00:00:00"})
    (run.path / "kept.jsonl").unlink()
    run = cf.train("vae", IMAGES, epochs=1, out="run", track="kept", **QUICK)
    assert [begun["earlier"] for begun in kept(run.path, "begin")] == [None]
    assert kept(run.path, "row") == run.log and len(kept(run.path, "picture")) == 2


def test_facts_and_settings_have_different_names(run: cf.Run) -> None:
    about = mirror.about_run(run.folder)
    assert "data" in about.settings and not about.settings.keys() & about.facts.keys()
    assert about.facts["images"] == "array train, 32 images 1x28x28"


def test_a_look_at_what_is_not_new_reads_and_writes_nothing(monkeypatch, run: cf.Run) -> None:
    follower = Mirror(run.folder, "kept")
    follower.begin(), follower.catch_up()
    before = (run.path / "kept.jsonl").read_text(), follower.file.stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(mirror.reading, "content", lambda *args: pytest.fail("read again"))
        follower.catch_up()
    assert ((run.path / "kept.jsonl").read_text(), follower.file.stat().st_ino) == before
    shutil.copy(run.folder.samples / "reconstruction-0001.png", run.folder.samples / "epoch-0001.png")
    follower.catch_up()
    assert len(kept(run.path, "picture")) == 3 and follower.file.stat().st_ino != before[1]


def test_patience_is_for_all_trackers_together(monkeypatch, capsys, run: cf.Run) -> None:
    waited: list[float] = []

    def join(self: follow._Follower, timeout: float) -> None:
        waited.append(timeout)
        time.sleep(timeout)

    monkeypatch.setitem(TRACKERS._things, "other", ENTRY)
    monkeypatch.setitem(FAILS, "at", "hangs")
    monkeypatch.setattr(follow, "PATIENCE", 0.05)
    monkeypatch.setattr(follow._Follower, "join", join)
    with follow.followed(run.folder, ["kept", "other"]) as begin:
        begin()
    tracking_cases.release.set()
    assert len(waited) == 2 and 0 <= sum(waited) <= 0.0501
    assert capsys.readouterr().err.count("not done after 0 seconds") == 2


def test_a_tracker_that_hangs_is_waited_for_no_longer_than_patience(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setitem(FAILS, "at", "hangs")
    monkeypatch.setattr(follow, "PATIENCE", 0.05)
    assert cf.train("vae", IMAGES, epochs=1, out="run", track="kept", **QUICK).record.finished
    tracking_cases.release.set()
    assert capsys.readouterr().err.startswith("kept failed (not done after 0 seconds)")


def test_a_failure_of_the_command_is_one_line(command, monkeypatch, run: cf.Run) -> None:
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
