"""`--keep best`: the best epoch's weights beside the last ones, whatever interrupts; said wherever they are used."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.errors import InputError, RunError
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.runs.checkpoint import read_index
from counterfeit.runs.log import EpochScore
from counterfeit.scoring import judge
from counterfeit.training import ends

NAME = "FID[mnist-cnn]"
VALUES = (3.0, 1.0, 2.0)  # of the epochs
QUICK: dict[str, Any] = {"batch_size": 64, "encoder_width": 8, "decoder_width": 8, "score_every": 1, "quiet": True}


@pytest.fixture(autouse=True)
def scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of epochs are VALUES, in no time."""

    def score(images: Any, *_: object) -> dict[str, Any]:
        done = [row for row in RunFolder(images.name).log_rows() if isinstance(row, EpochScore)]
        return {NAME: SimpleNamespace(value=VALUES[len(done)])}

    monkeypatch.setattr(judge, "small_scorer", lambda *_: SimpleNamespace(score=score))


def train(digits: tuple[np.ndarray, np.ndarray], out: Path, epochs: int, **settings: Any) -> cf.Run:
    return cf.train("vae", digits[0][:128], out=out, epochs=epochs, **{**QUICK, "keep": "best", **settings})


def weights(run: cf.Run) -> dict[str, torch.Tensor]:
    return run.model.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def content(run: cf.Run) -> tuple[Any, ...]:
    """All that an interruption must not change."""
    rows = [{name: value for name, value in row.items() if name != "images_per_s"} for row in run.log]
    groups = load_checkpoint(run.folder.checkpoint, ("model", "training", "ema", "best"))
    bytes_of = {f"{group}.{name}": t.numpy().tobytes() for group, of in groups.items() for name, t in of.items()}
    return rows, bytes_of, read_index(run.folder.checkpoint), sorted(p.name for p in run.folder.checkpoint.iterdir())


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_is_sampled_from_its_best_epoch_and_continues_from_its_last(digits, ema: float, tmp_path: Path) -> None:
    run = train(digits, tmp_path / "best", 3, ema=ema)
    index = read_index(run.folder.checkpoint)
    assert index is not None and index.best is not None
    assert (index.epoch, index.best.epoch, index.best.step, index.best.value) == (3, 2, 4, 1.0)
    two, three = (train(digits, tmp_path / str(n), n, ema=ema, keep="last") for n in (2, 3))
    assert same(weights(run), weights(two)) and not same(weights(run), weights(three))
    assert np.array_equal(run.sample(8), two.sample(8))
    last = load_checkpoint(run.folder.checkpoint, ["model"])["model"]
    assert same(last, load_checkpoint(three.folder.checkpoint, ["model"])["model"])
    files = {path.name for path in run.folder.checkpoint.iterdir()}
    assert files == {"best-0000004.safetensors", *(p.name for p in three.folder.checkpoint.iterdir())}


def test_resumed_it_is_what_it_would_have_been(digits, tmp_path: Path) -> None:
    whole, parts = train(digits, tmp_path / "whole", 3), tmp_path / "parts"
    assert weights(train(digits, parts, 1)).keys() and read_index(parts / "checkpoint").best.epoch == 1  # type: ignore[union-attr]
    train(digits, parts, 2, resume=True)
    assert content(train(digits, parts, 3, resume=True)) == content(whole)


def test_a_kill_before_the_index_is_renamed_leaves_the_best_epoch_before(
    digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = train(digits, tmp_path / "whole", 3), tmp_path / "killed"
    save = ends.save_checkpoint

    def killed(folder: Path, groups: Any, step: int, *rest: Any) -> None:
        if step == 4:
            raise KeyboardInterrupt
        save(folder, groups, step, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ends, "save_checkpoint", killed)
        train(digits, out, 3)
    assert (out / "checkpoint/best-0000004.safetensors").exists()  # written, and not what counts yet
    one = train(digits, tmp_path / "one", 1)
    assert same(weights(cf.load(out)), weights(one)) and cf.load(out).trained.facts()["selected"]["epoch"] == 1
    assert content(train(digits, out, 3)) == content(whole)


def test_a_score_says_which_weights_it_is_of(digits, tmp_path: Path, capsys) -> None:
    run = train(digits, tmp_path / "run", 3)
    score = run.score(digits[0][:200], metrics="fid", n=200, detector="mnist-cnn")
    (note,) = score.notes
    assert note in capsys.readouterr().err and note in score.table()
    assert note.startswith(f"the weights are those of epoch 2 of 3, the best by {NAME} of 2,000 samples (1) against")
    made = score.receipt["generated"]
    assert made["selected"] == {"epoch": 2, "score": NAME, "value": 1.0, "n": 2000, "split": "train"}
    assert (made["step"], made["epochs_done"], made["digest"]) == (4, 3, run.weights_sha256)
    last = train(digits, tmp_path / "last", 3, keep="last").trained
    assert "selected" not in last.facts() and last.selected() == []


def test_before_the_first_score_the_last_weights_are_taken(digits, tmp_path: Path) -> None:
    first = train(digits, tmp_path / "run", 2, score_every=2)
    (folder := first.folder.checkpoint / "checkpoint.json").write_text(folder_without_best(folder))
    assert cf.load(tmp_path / "run").trained.selected() == []
    assert same(weights(cf.load(tmp_path / "run")), weights(train(digits, tmp_path / "last", 2, keep="last")))


def folder_without_best(index: Path) -> str:
    """As an epoch leaves it that was not scored."""
    values = json.loads(index.read_text())
    del values["best"]
    return json.dumps(values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file": "model-0000006.safetensors"}, "the file of its best epoch is 'model-0000006.safetensors'"),
        ({"step": 8, "file": "best-0000008.safetensors"}, "of step 8 of 6"),
        ({"epoch": 1}, "names a best epoch, 1"),
        ({"sha256": "0" * 64}, "is damaged"),
        ({"sha256": "../run"}, "best.sha256"),
        ({"value": "low"}, "best.value"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(digits, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    run = train(digits, tmp_path / "run", 3)
    path = run.folder.checkpoint / "checkpoint.json"
    values = json.loads(path.read_text())
    values["best"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=says):
        _ = cf.load(tmp_path / "run").model


def test_a_run_that_keeps_the_last_has_no_best(digits, tmp_path: Path) -> None:
    run = train(digits, tmp_path / "run", 1)
    record = json.loads(run.folder.record_file.read_text())
    record["settings"]["run"]["keep"] = "last"
    run.folder.record_file.write_text(json.dumps(record))
    with pytest.raises(RunError, match="names a best epoch"):
        _ = cf.load(tmp_path / "run").model


def test_without_scores_there_is_nothing_to_choose_by(digits, tmp_path: Path, command) -> None:
    with pytest.raises(InputError, match="pass --score-every 1 as well"):
        train(digits, tmp_path / "run", 1, score_every=0)
    outcome = command("train", "vae", "--keep", "best")
    assert outcome.code == 2 and "--keep best needs scores to choose by" in outcome.err
    run = train(digits, tmp_path / "run", 1)
    with pytest.raises(RunError, match="--keep best, not last"):
        train(digits, tmp_path / "run", 2, resume=True, keep="last")
    assert read_index(run.folder.checkpoint).best.epoch == 1  # type: ignore[union-attr]


def test_the_best_epoch_may_be_the_last_one_cut_short(digits, tmp_path: Path) -> None:
    """2 steps an epoch: the third step is within the second epoch, and the run ends there."""
    run = cf.train("vae", digits[0][:128], out=tmp_path / "run", steps=3, **{**QUICK, "keep": "best"})
    best = read_index(run.folder.checkpoint).best
    assert (best.epoch, best.step) == (2, 3)
    again = cf.train("vae", digits[0][:128], out=tmp_path / "run", resume=True, steps=4, quiet=True)
    assert read_index(again.folder.checkpoint).step == 4


def test_scores_that_choose_the_weights_are_no_free_setting(digits, tmp_path: Path) -> None:
    train(digits, tmp_path / "run", 1)
    with pytest.raises(RunError, match="was trained with --score-every 1, not 2"):
        cf.train("vae", digits[0][:128], out=tmp_path / "run", resume=True, epochs=2, score_every=2, quiet=True)
