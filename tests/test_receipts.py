"""What a score is of: its weights, its identity, its file; what is not finished, not known or not to be stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.comparison.pictures import of_comparison
from counterfeit.comparison.scored import kept_score
from counterfeit.detectors.training import RECIPES
from counterfeit.report.records import Comparison, of_json
from counterfeit.runs import checkpoint
from counterfeit.runs.checkpoint import read_checkpoint
from counterfeit.scoring import judge
from counterfeit.scoring.receipt import file_name, identity, of_set, unidentified
from counterfeit.settings import ScoreConfig
from report_cases import tables

NARROW: dict[str, Any] = {"encoder_width": 8, "decoder_width": 8, "latent": 2, "quiet": True}
QUICK: dict[str, Any] = {"n": 100, "metrics": ["fid"], "detector": "mnist-cnn", "device": "cpu"}


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """CAS's classifier is trained for one epoch: which number comes out is no matter here."""
    monkeypatch.setattr("counterfeit.scoring.cas.recipe_for", lambda *_: replace(RECIPES["mnist"], epochs=1))


@pytest.fixture(scope="module")
def home(tmp_path_factory, test_cache) -> Iterator[Path]:
    """A folder with 500 digits, `digits.npz`, and a VAE after one epoch on them, `run`."""
    folder = tmp_path_factory.mktemp("receipts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
        np.savez(folder / "digits.npz", images=data.images[::10], labels=data.labels[::10])
        cf.train("cvae", folder / "digits.npz", out=folder / "run", epochs=1, **NARROW)
        yield folder


@pytest.fixture
def run(home: Path, tmp_path: Path) -> cf.Run:
    """A copy of that run, which a test may change."""
    shutil.copytree(home / "run", tmp_path / "run")
    return cf.load(tmp_path / "run", "cpu")


def train_on(run: cf.Run) -> None:
    """Replace the run's weights, as another process would."""
    cf.train("cvae", out=run.path, epochs=run.config.epochs + 1, resume=True, quiet=True)


def kept(run: cf.Run) -> dict[str, Any]:
    """The stored scores by file name."""
    return {path.name: json.loads(path.read_bytes()) for path in (run.path / "scores").glob("*.json")}


# --- the weights that drew -------------------------------------------------------------------------------------------


def measured(run: cf.Run, how: str) -> Any:
    """A measurement of the run, and its digest of the weights."""
    if how == "cas":
        return run.cas(n=100)
    return run.likelihood(2, 20, "train") if how == "likelihood" else run.score(**QUICK)


@pytest.mark.parametrize("how", ["score", "cas", "likelihood"])
def test_the_digest_is_that_of_the_weights_that_drew_and_not_of_newer_ones(how: str, run: cf.Run, capsys) -> None:
    before = cf.load(run.path).weights_sha256
    samples = run.sample(10)
    train_on(run)
    found = measured(run, how)
    assert cf.load(run.path).weights_sha256 != before == found.receipt["generated"]["digest"]
    assert np.array_equal(run.sample(10), samples), "the weights of an opened run stay"
    (note,) = found.notes
    assert note.startswith("the run's weights were replaced while it was measured") and before[:8] in note
    assert note in found.table() and note in capsys.readouterr().err
    assert next(iter(kept(run).values()))["receipt"]["notes"] == [note]
    fresh = measured(cf.load(run.path, "cpu"), how)
    assert fresh.notes == () and len(kept(run)) == 2, "the new weights' score is another measurement"


def test_index_and_weights_are_read_together(run: cf.Run, monkeypatch) -> None:
    """The checkpoint is replaced, and its old files are removed, when the index has just been read."""
    old, read, replaced = run.weights_sha256, checkpoint._tensors, []

    def slow(folder, index, *rest):
        if not replaced:
            replaced.append(index)
            train_on(run)
        return read(folder, index, *rest)

    monkeypatch.setattr(checkpoint, "_tensors", slow)
    index, groups = read_checkpoint(run.path / "checkpoint", ["model"])
    assert index.step > replaced[0].step and index.files["model"]["sha256"] != old
    again = cf.load(run.path)
    assert again.weights_sha256 == index.files["model"]["sha256"]
    assert all(np.array_equal(again.model.state_dict()[name], groups["model"][name]) for name in groups["model"])


def test_a_run_that_is_another_one_by_now_is_not_mixed_with_it(run: cf.Run, home: Path) -> None:
    shutil.rmtree(run.path)
    cf.train("cvae", home / "digits.npz", out=run.path, epochs=1, seed=1, **NARROW)
    with pytest.raises(cf.InputError, match="was replaced by another run since it was opened: open it again"):
        run.score(**QUICK)


def test_a_run_that_was_continued_before_it_was_read_is_taken_as_it_is_now(run: cf.Run) -> None:
    train_on(run)
    score = run.score(**QUICK)
    assert (run.config.epochs, score.receipt["generated"]["epochs_done"], score.notes) == (2, 2, ())


# --- one measurement, one file ---------------------------------------------------------------------------------------


def test_every_measurement_has_its_file_and_the_same_one_again_the_same(run: cf.Run, tmp_path: Path) -> None:
    images = cf.load_data("mnist5k").images
    long = "x" * 240
    for i, name in enumerate(("猫", "犬", "a/set", "b/set", "ns", "n s", long, long[1:])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savez(tmp_path / f"{name}.npz", images=images[i * 100 : i * 100 + 200])
        run.score(tmp_path / f"{name}.npz", **QUICK)
    real = tmp_path / "猫.npz"
    for other in ({"metrics": ["kid"]}, {"metrics": ["fid", "kid"]}, {"repeats": 2}, {"seed": 1}, {"n": 90}):
        run.score(real, **{**QUICK, **other})
    run.cas(n=100)
    run.likelihood(2, 20, "train")
    first = kept(run)
    assert len(first) == 8 + 5 + 2, sorted(first)
    assert all(len(name.encode()) < 150 and name.endswith(".json") for name in first)
    assert sum("猫" in name for name in first) == 6, "a name can be read"
    run.score(real, **{**QUICK, "metrics": ["kid", "fid"]})
    cf.load(run.path, "cpu").score(real, **QUICK)
    run.cas(n=100)
    assert kept(run).keys() == first.keys()


def test_a_moved_run_and_a_renamed_real_set_are_the_same_measurement(run: cf.Run, home: Path, tmp_path: Path) -> None:
    run.score(**QUICK)
    shutil.copy(home / "digits.npz", tmp_path / "other.npz")
    run.path.rename(tmp_path / "moved")
    moved = cf.load(tmp_path / "moved", "cpu")
    one, two = moved.score(**QUICK), moved.score(tmp_path / "other.npz", **QUICK)
    assert one.receipt["real"]["name"] != two.receipt["real"]["name"]
    assert identity(one.receipt) == identity(two.receipt)
    records = [fake_record(score.to_dict(), seed) for seed, score in enumerate((one, two))]
    assert len(tables(records)[0]) == 1, "and one column"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "", "a/b\\c:d*e?f|g", "é" * 300, "\udcff\udcfe", "\n\0", "CON", ".hidden"]
)
def test_names_of_files_are_safe_whatever_is_named(name: str) -> None:
    receipt = {"real": {"name": name, "split": "train"}, "generated": {"n": 2, "seed": 0, "repeats": 1}}
    found = file_name(name, {"metrics": {}, "receipt": receipt})
    assert found and not set(found) & set('/\\:*?"<>|\0\n') and not found.startswith(".")
    assert len(found.encode()) < 150 and found.encode().decode() == found


def test_a_kept_score_is_known_by_its_receipt_and_not_by_its_name(run: cf.Run) -> None:
    config = ScoreConfig.of({**QUICK, "metrics": ["fid", "kid"]})
    scorer = judge.prepared(config, run.record)
    assert kept_score(run, config, scorer) is None
    score = json.loads(json.dumps(run.score(**config.keywords()).to_dict()))
    (file,) = (run.path / "scores").glob("*.json")
    file.rename(file.with_name("mnist-cnn-digits.npz-train-n100-seed0.json"))  # as version 0.1 called it
    assert json.loads(json.dumps(kept_score(run, config, scorer))) == score
    fewer = kept_score(run, ScoreConfig.of(QUICK), scorer)
    assert fewer is not None and list(fewer["metrics"]) == ["FID[mnist-cnn]"]
    for other in ({"n": 90}, {"seed": 1}, {"repeats": 2}, {"metrics": ["is"]}):
        assert kept_score(run, ScoreConfig.of({**config.keywords(), **other}), scorer) is None
    train_on(run)
    assert kept_score(cf.load(run.path, "cpu"), config, scorer) is None, "other weights"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("versions", {"torch": "1.0"}),
        ("versions", {"pillow": "1.0"}),
        ("code", {"metrics": "0" * 64}),
        ("code", {"training": "0" * 64}),
        ("detector", {"weights_sha256": "0" * 64}),
        ("detector", {"protocol": "another"}),
        ("real", {"digest": "0" * 64}),
        ("real", {"conversion": "another"}),
        ("generated", {"digest": "0" * 64}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_what_decides_a_number_is_its_identity(part: str, value: dict[str, str], run: cf.Run) -> None:
    config = ScoreConfig.of(QUICK)
    scorer = judge.prepared(config, run.record)
    run.score(scorer=scorer, **QUICK)
    (file,) = (run.path / "scores").glob("*.json")
    score = json.loads(file.read_bytes())
    for circumstance in ({"time": "then"}, {"machine": {"cpus": 1}}, {"notes": ["a"]}):
        file.write_text(json.dumps({**score, "receipt": {**score["receipt"], **circumstance}}))
        assert kept_score(run, config, scorer) is not None
    changed = {**score["receipt"], part: {**score["receipt"][part], **value}}
    file.write_text(json.dumps({**score, "receipt": changed}))
    assert kept_score(run, config, scorer) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"receipt": 1, "metrics": 2}', '{"receipt": {}, "metrics": []}'])
def test_a_damaged_kept_score_is_passed_over(content: str, run: cf.Run) -> None:
    config = ScoreConfig.of(QUICK)
    scorer = judge.prepared(config, run.record)
    score = run.score(scorer=scorer, **QUICK).to_dict()
    (file,) = (run.path / "scores").glob("*.json")
    file.write_text(content)
    assert kept_score(run, config, scorer) is None
    score["metrics"]["FID[mnist-cnn]"]["value"] = "small"
    file.write_text(json.dumps(score))
    assert kept_score(run, config, scorer) is None, "a value that is no number"


# --- functions -------------------------------------------------------------------------------------------------------


def fake_record(score: dict[str, Any], seed: int) -> dict[str, Any]:
    """A run as `collect.record` gives it."""
    return {
        **{"path": f"runs/{seed}", "model": "vae", "data": "digits", "seed": seed, "config": {}},
        **{"data_digest": "0123456789", "epochs": 1, "parameters": 1, "train_seconds": 1.0, "images_per_s": 1.0},
        **{"curve": None, "score": score},
    }


def test_two_functions_of_one_name_are_two_files_and_two_columns(run: cf.Run) -> None:
    detectors = [lambda x, scale=scale: scale * x.flatten(1)[:, ::50].float() for scale in (1, 2)]
    scores = [run.score(**{**QUICK, "detector": detector}).to_dict() for detector in detectors]
    assert [list(score["metrics"]) for score in scores] == [["FID[lambda()]"]] * 2
    assert len(kept(run)) == 2
    found, (note,) = tables([fake_record(score, seed) for seed, score in enumerate(scores)])
    assert len(found) == 2 and "measured differently (detector)" in note
    same = [run.score(**{**QUICK, "detector": detectors[0]}).to_dict() for _ in range(2)]
    assert len(kept(run)) == 2 and len(tables([fake_record(score, i) for i, score in enumerate(same)])[0]) == 1


def test_what_cannot_be_identified_is_said_to_be_so_and_never_taken_for_an_earlier_measurement(run: cf.Run) -> None:
    def own(images):
        return images.flatten(1)[:, ::50].float()

    config = ScoreConfig.of({**QUICK, "detector": own})
    scorer = judge.prepared(config, run.record)
    receipt = run.score(scorer=scorer, **config.keywords()).receipt
    (said,) = receipt["unidentified"]
    assert "own() is a function" in said and len(receipt["detector"]["probe_sha256"]) == 64
    assert kept_score(run, config, scorer) is None
    drawn = cf.score(lambda n, seed: run.sample(n, seed=seed), "mnist5k", **QUICK).receipt
    (said,) = drawn["unidentified"]
    assert "generator <lambda> is a function" in said and drawn["generated"]["digest"] is None
    assert not unidentified(run.score(**QUICK).receipt)


# --- a score that cannot be stored, and one of a run that is not finished --------------------------------------------


@pytest.mark.parametrize("how", ["score", "cas", "likelihood"])
def test_a_score_that_cannot_be_stored_is_printed_all_the_same(how: str, run: cf.Run, command) -> None:
    (run.path / "scores").write_text("a file in the way, as a folder that may only be read would be")
    more = {"score": ["-n", 100, "--metrics", "fid"], "cas": ["-n", 100], "likelihood": ["-k", 2, "--split", "train"]}
    outcome = command(how, run.path, *more[how], "--json", "--device", "cpu")
    assert outcome.code == 0 and json.loads(outcome.out)["metrics"]
    assert f"this score is not saved, since {run.path / 'scores'}" in outcome.err


def test_a_comparison_of_runs_that_take_no_scores_is_made_all_the_same(run: cf.Run, tmp_path: Path, command) -> None:
    for name in ("scores", "samples/report"):
        shutil.rmtree(run.path / name, ignore_errors=True)
        (run.path / name).write_text("in the way")
    outcome = command("compare", run.path, "--out", tmp_path / "out", "-n", 100, "--metrics", "fid")
    assert outcome.code == 0, outcome.err
    assert "this score is not saved" in outcome.err and "FID[" in outcome.out
    assert (tmp_path / "out" / "comparison.json").exists()


def test_a_comparison_that_cannot_be_written_is_printed_and_named(run: cf.Run, tmp_path: Path, command) -> None:
    (tmp_path / "out" / "table.md").mkdir(parents=True)
    outcome = command("compare", run.path, "--out", tmp_path / "out", "-n", 100, "--metrics", "fid")
    assert outcome.code == 1 and "FID[" in outcome.out
    assert f"cannot write {tmp_path / 'out' / 'table.md'}" in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("how", ["score", "cas", "likelihood"])
def test_a_score_of_an_unfinished_run_says_so(how: str, run: cf.Run, capsys) -> None:
    record = run.folder.read_record()
    run.folder.write_record(replace(record, config=record.config.replace({"epochs": 3}), finished=None))
    found = measured(cf.load(run.path, "cpu"), how)
    note = "the run is not finished: its weights are those after 1 of 3 epochs"
    assert found.notes == (note,) and note in found.table() and note in capsys.readouterr().err
    told = found.to_dict()["receipt"]
    assert told["notes"] == [note]
    assert {"finished": False, "epochs_done": 1, "epochs": 3}.items() <= told["generated"].items()


# --- enough to repeat ------------------------------------------------------------------------------------------------


def test_receipts_say_enough_to_repeat(run: cf.Run) -> None:
    score, cas, likelihood = (measured(run, how).receipt for how in ("score", "cas", "likelihood"))
    for receipt in (score, cas, likelihood):
        assert receipt["generated"]["digest"] == run.weights_sha256 and receipt["generated"]["kind"] == "run"
        assert receipt["generated"]["finished"] and "notes" not in receipt
        assert {"counterfeit", "python", "torch", "numpy", "pillow"} == receipt["versions"].keys()
        assert receipt["machine"]["threads"] >= 1
        assert "training" in receipt["code"] and all(len(digest) == 64 for digest in receipt["code"].values())
        assert json.loads(json.dumps(receipt, allow_nan=False)) == receipt
    assert {"detectors", "metrics", "scoring"} <= score["code"].keys() == cas["code"].keys()
    assert "likelihood" in likelihood["code"]
    assert score["generated"]["labels"] == cas["generated"]["labels"] == [10] * 10
    assert cas["real"]["classes"] == [str(i) for i in range(10)]


def test_receipts_say_what_kind_of_thing_was_scored(home: Path, tmp_path: Path, run: cf.Run) -> None:
    from PIL import Image

    images = cf.load_data("mnist5k").images[:50]
    (tmp_path / "pngs").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[0]).save(tmp_path / "pngs" / f"{i:02d}.png")
    np.savez(tmp_path / "few.npz", images=images)
    sources: dict[str, Any] = {
        "folder": tmp_path / "pngs",
        "npz": str(tmp_path / "few.npz"),
        "array": images,
        "dataset": "mnist5k",
        "function": lambda n, seed: images[:n].repeat(2, axis=0)[:n],
    }
    for kind, source in sources.items():
        generated = cf.score(source, images, **{**QUICK, "n": 50}).receipt["generated"]
        assert generated["kind"] == kind
    labels = np.arange(50) % 5
    receipt = cf.cas(images, home / "digits.npz", n=50, labels=labels).receipt
    assert (receipt["generated"]["kind"], receipt["generated"]["labels"]) == ("array", [10] * 5)
    assert "training" not in receipt["code"], "images that are not ours: our samplers did not draw them"


def test_how_a_folder_was_read_is_in_its_receipt() -> None:
    data = cf.load_data("mnist5k")
    found = of_set(replace(data, conversion={"size": 28, "crop": "center"}))
    assert found is not None and found["conversion"] == {"size": 28, "crop": "center"}
    assert "conversion" not in (of_set(data) or {})


def test_pictures_of_other_weights_than_the_scores_are_named(run: cf.Run, tmp_path: Path) -> None:
    found = cf.compare(run.path, out=tmp_path / "out", **QUICK)
    with of_comparison(of_json(found, Comparison), "cpu") as (_, notes):
        assert not any("later weights" in note for note in notes)
    train_on(run)
    with of_comparison(of_json(found, Comparison), "cpu") as (_, notes):
        assert any(note.startswith(f"{run.path}: its images are of later weights") for note in notes)
