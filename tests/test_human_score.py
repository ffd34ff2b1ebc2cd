"""From trained runs to a test, and from its judgements to a score in the runs' folders, tables and reports."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.app.contrast import contrast
from counterfeit.app.shelf import Shelf
from counterfeit.comparison.judged import with_people
from counterfeit.errors import InputError
from counterfeit.human import images
from counterfeit.human.design import Design
from counterfeit.human.lines import as_line
from counterfeit.human.prepare import prepared
from counterfeit.human.score import by_people, publish, receipt_of
from counterfeit.human.statistics import results
from counterfeit.human.store import Store
from counterfeit.report.records import Metric

DESIGN = Design(models=2, fakes=10, raters=4, seed=3)
SMALL = {"data": "mnist5k", "holdout": 0.2, "steps": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Path:
    """A folder with a VAE and a conditional VAE of one epoch."""
    home = tmp_path_factory.mktemp("human")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        for model in ("vae", "cvae"):
            cf.train(model, out=home / model, **SMALL)
    return home


def judged(store: Store, raters: int = 4) -> None:
    """Raters who tell noise, and of the others take every third, fourth … for the other kind."""
    for rater in range(raters):
        token, i = store.join({"browser": "test", "screen": {"scale": 2}}), 0
        kinds = _truth(store, rater + 1)
        while (now := store.next(token)) is not None:
            real, noise = kinds[now.id]
            wrong = not noise and i % (3 + rater) == 0
            store.answer(token, now.id, "real" if real != wrong else "fake", 0.5)
            i += 1


def _truth(store: Store, rater: int) -> dict[str, tuple[bool, bool]]:
    with store._open() as db:
        rows = db.execute("SELECT id, source FROM trials WHERE rater = ?", (rater,)).fetchall()
    return {id: (source == store.design.real, source == store.design.of_noise) for id, source in rows}


@pytest.fixture(scope="module")
def test(trained: Path) -> Store:
    store = prepared([cf.load(trained / "vae"), cf.load(trained / "cvae")], DESIGN, trained / "tests" / "a.sqlite")
    judged(store)
    return store


def test_images_are_the_samples_and_those_of_the_test_split(test: Store, trained: Path) -> None:
    run, conditional = cf.load(trained / "vae"), cf.load(trained / "cvae")
    with test._open() as db:
        rows = db.execute("SELECT source, place, label, sha256 FROM images ORDER BY source, place").fetchall()
    for source, of in enumerate((run, conditional)):
        samples = of.sample(40, seed=DESIGN.sample_seed)
        assert [sha for s, _, _, sha in rows if s == source] == [images.digest(image) for image in samples]
    real = {images.digest(np.asarray(image)) for image in run.real("test").images}
    train = {images.digest(np.asarray(image)) for image in run.real("train").images}
    shown = [sha for s, _, _, sha in rows if s == DESIGN.real]
    assert len(shown) == 80 and set(shown) <= real and not set(shown) & (train - real)
    labels = {s: [label for t, _, label, _ in rows if t == s] for s in (0, 1, DESIGN.real)}
    assert labels[0] == [None] * 40  # the classes of its samples are not known
    assert labels[1] == [i % 10 for i in range(40)] and labels[DESIGN.real] == [i % 10 for i in range(80)]


def test_samples_are_not_those_that_other_pages_show(test: Store, trained: Path) -> None:
    """Explore and Compare show those of seed 0 and of seeds that people choose, with the name of the run."""
    assert DESIGN.sample_seed not in range(1 << 32)
    assert test.facts()["receipt"]["models"][test.models[0]]["seed"] == DESIGN.sample_seed
    with test._open() as db:
        shown = {sha for (sha,) in db.execute("SELECT sha256 FROM images WHERE source = 0")}
    for seed in (0, DESIGN.seed):
        assert not shown & {images.digest(image) for image in cf.load(trained / "vae").sample(40, seed=seed)}


def test_a_rater_never_judges_a_real_image_twice(trained: Path, tmp_path: Path) -> None:
    """A test split of 250 images, of which the rarest class has fewer than a tenth: two models, 250 images in all."""
    run = cf.train("vae", out=tmp_path / "vae", **{**SMALL, "holdout": 0.05})
    other = cf.train("gan", out=tmp_path / "gan", **{**SMALL, "holdout": 0.05})
    labels = run.real("test").labels
    most = 10 * int(np.bincount(labels).min())
    for fakes in (most // 2 + 1, 250):
        with pytest.raises(
            InputError, match=f"has {most} with every class equally often: choose at most {most // 2} i"
        ):
            prepared([run, other], Design(models=2, fakes=fakes), tmp_path / "x.sqlite")
    prepared([run, other], Design(models=2, fakes=most // 2, raters=1), tmp_path / "x.sqlite").close()


def test_score_is_stored_with_a_receipt_that_the_lines_fit(test: Store, trained: Path) -> None:
    runs = [cf.load(trained / "vae"), cf.load(trained / "cvae")]
    scores = publish(test, runs)
    assert [list(score) for score in scores] == [["human[hype-inf]"]] * 2
    found = results(test.judgements())
    for run, score, of_model in zip(runs, scores, sorted(found.models, key=lambda m: "cvae" in m.model), strict=True):
        one, receipt = score["human[hype-inf]"], score.receipt
        assert of_model.hype.interval is not None and found.baseline is not None
        assert (one.value, one.uncertainty) == (of_model.hype.value, of_model.hype.error)
        assert (one.extras["interval_low"], one.extras["interval_high"]) == of_model.hype.interval
        assert one.extras["error_on_fakes"] == of_model.fakes.value and one.extras["raters"] == 4
        assert one.floor == found.baseline.value and one.better == "higher"
        assert receipt["generated"]["digest"] == run.weights_sha256
        assert receipt["real"]["split"] == "test" and receipt["real"]["digest"] == run.real("test").digest
        lines = b"".join(map(as_line, test.judgements()))
        assert receipt["human"]["judgements_sha256"] == hashlib.sha256(lines).hexdigest()
        assert receipt["human"]["browsers"] == ["test"] and receipt["human"]["screens"][0] == {"rater": 1, "scale": 2}
        stored = json.loads((run.path / "scores" / f"human-hype-inf-{test.id}.json").read_text())
        assert stored == json.loads(json.dumps(score.to_dict()))
        ((of_test, again),) = by_people(run)
        assert again == score and of_test["test"] == test.id
    assert receipt_of(test)["human"]["raters"] == 4


def test_table_and_report_have_it_beside_fid(test: Store, trained: Path) -> None:
    paths = [trained / "vae", trained / "cvae"]
    publish(test, [cf.load(path) for path in paths])
    found = cf.compare(paths, out=trained / "compared", n=200, metrics="fid")
    (table,) = found["tables"]
    assert table["columns"] == ["FID[mnist-cnn]", "human[hype-inf]"]
    assert table["better"]["human[hype-inf]"] == "higher" and table["ranked_by"] == "FID[mnist-cnn]"
    expected = {one.model: one.hype.value for one in results(test.judgements()).models}
    for row in table["rows"]:
        assert row["metrics"]["human[hype-inf]"]["mean"] == expected[str(trained / row["model"])]
    assert "human[hype-inf]" in (trained / "compared" / "table.md").read_text()
    page = (trained / "compared" / "report.html").read_text()
    assert "human" in page and "hype-inf" in page and test.id in page  # the receipt is in the page too
    assert any(note.startswith("human[hype-inf]: share misjudged by 4 raters") for note in found["notes"])


def test_tests_of_other_people_have_columns_of_their_own(test: Store, trained: Path) -> None:
    runs = [cf.load(trained / "vae"), cf.load(trained / "cvae")]
    publish(test, runs)
    other = prepared(runs[:1], Design(models=1, fakes=10), trained / "tests" / "b.sqlite")
    judged(other, 2)
    publish(other, runs)
    path = runs[0].path / "scores" / f"human-hype-inf-{other.id}.json"
    try:
        found = cf.compare([run.path for run in runs], out=trained / "both", n=200, metrics="fid")
    finally:
        path.unlink()
    (table,) = found["tables"]
    assert set(table["columns"][1:]) == {f"human[hype-inf {store.id}]" for store in (test, other)}
    assert any("2 tests, each with a column of its own" in note for note in found["notes"])
    (of_cvae,) = [row for row in table["rows"] if row["model"] == "cvae"]
    assert f"human[hype-inf {other.id}]" not in of_cvae["metrics"]


def test_weights_that_were_not_judged_get_no_score(test: Store, trained: Path, tmp_path: Path) -> None:
    """A run trained again under the same name: neither published, nor read from its folder."""
    run = cf.load(trained / "vae")
    other = cf.train("vae", out=tmp_path / "vae", seed=1, **SMALL)
    other.name = run.name
    assert publish(test, [other]) == []
    publish(test, [run])
    stored = run.path / "scores" / f"human-hype-inf-{test.id}.json"
    (other.path / "scores").mkdir()
    (other.path / "scores" / stored.name).write_bytes(stored.read_bytes())
    assert list(by_people(other)) == []


@pytest.mark.parametrize(
    ("metrics", "of_test", "says"),
    [
        ([], {}, "it must hold human[hype-inf] alone"),
        (["FID[x]"], {}, "it must hold human[hype-inf] alone"),
        (None, {"protocol": ""}, "protocol"),
        (None, {"protocol": "hype-inf\n"}, "protocol"),
        (None, {"test": "x" * 12}, "test"),
        (None, {"raters": "many"}, "raters"),
    ],
)
def test_scores_of_strangers_end_no_comparison(
    test: Store, trained: Path, capsys: pytest.CaptureFixture[str], metrics: list[str] | None, of_test: dict, says: str
) -> None:
    run = cf.load(trained / "vae")
    (score,) = publish(test, [run])
    whole = json.loads(json.dumps(score.to_dict()))
    whole["receipt"]["human"] |= of_test
    path = run.path / "scores" / "human-strange.json"
    if metrics is not None:
        whole["metrics"] = {name: whole["metrics"]["human[hype-inf]"] for name in metrics}
    path.write_text(json.dumps(whole))
    capsys.readouterr()
    try:
        found = with_people({"metrics": {}, "receipt": {}}, run)
    finally:
        path.unlink()
    assert list(found["metrics"]) == [f"human[hype-inf {test.id}]"]
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path.name} is ignored, since it cannot be read as a score (" in line and says in line


def test_the_app_says_what_the_command_does_of_seeds_that_nobody_judged(
    test: Store, trained: Path, tmp_path: Path
) -> None:
    publish(test, [cf.load(trained / "vae")])
    for seed in (0, 1):
        if seed == 0:
            shutil.copytree(trained / "vae", tmp_path / "vae")
        else:
            cf.train("vae", out=tmp_path / "vae-1", seed=1, **SMALL)
    cf.compare([tmp_path / "vae", tmp_path / "vae-1"], out=tmp_path / "c", n=200, metrics="fid")
    found = contrast(Shelf([tmp_path]).runs(), str)
    assert [str(name) for name in found.sections[0].table.columns] == ["FID[mnist-cnn]", "human[hype-inf]"]
    assert any("share misjudged by 4 raters" in note and "people judged" in note for note in found.notes)


def test_seeds_that_nobody_judged_are_named(test: Store, trained: Path, tmp_path: Path) -> None:
    run = cf.load(trained / "vae")
    publish(test, [run])
    other = cf.train("vae", out=tmp_path / "vae-1", seed=1, **SMALL)
    found = cf.compare([run.path, other.path], out=tmp_path / "c", n=200, metrics="fid")
    (row,) = found["tables"][0]["rows"]
    assert len(row["metrics"]["FID[mnist-cnn]"]["values"]) == 2
    assert len(row["metrics"]["human[hype-inf]"]["values"]) == 1
    assert any(f"people judged {run.name} only" in note for note in found["notes"])


def test_runs_that_cannot_be_judged_together(trained: Path, tmp_path: Path) -> None:
    run = cf.load(trained / "vae")
    whole = cf.train("vae", out=tmp_path / "whole", **{**SMALL, "holdout": 0.0})
    for runs, says in (
        ([], "no run is chosen"),
        ([run, run], "is chosen twice"),
        (
            [whole],
            "has no test split, and people must not judge images that a model was trained on: train with --holdout",
        ),
        ([run, whole], "not the same images: a test is of runs of one data set"),
    ):
        with pytest.raises(InputError, match=says):
            prepared(runs, Design(models=max(1, len(runs)), fakes=10), tmp_path / "x.sqlite")
    assert not (tmp_path / "x.sqlite").exists()


def test_column_is_a_metric_of_its_protocol() -> None:
    assert Metric.of("human[hype-inf]") == Metric("human", "hype-inf")
