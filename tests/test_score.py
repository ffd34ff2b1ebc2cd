"""Scores: what is measured, kept and said; the cache; bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit import detectors, sampling
from counterfeit.data import ImageSet, cache_dir
from counterfeit.metrics import METRICS, balls
from counterfeit.metrics.keep import computed
from counterfeit.metrics.prdc import prdc, precision_recall
from counterfeit.scoring import Images, Scorer, baselines

QUICK = ["fid", "kid", "is", "prdc"]
OF_CLASSES = {"labels", "real_classes", "fake_classes"}


@pytest.fixture(scope="module")
def run(tmp_path_factory, test_cache) -> cf.Run:
    """A VAE after an epoch on 5,000 digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        return cf.train("vae", "mnist5k", out=tmp_path_factory.mktemp("score") / "run", epochs=1, quiet=True)


@pytest.fixture
def fakes(digits, tmp_path: Path) -> Path:
    """1,000 real digits as an .npz file: the best counterfeit there is."""
    np.savez(tmp_path / "fakes.npz", images=digits[0])
    return tmp_path / "fakes.npz"


def test_a_run_is_scored_and_keeps_its_score(run: cf.Run, command) -> None:
    outcome = command("score", run.path, "-n", 500, "--metrics", "fid,is", "--json")
    assert outcome.code == 0, outcome.err
    printed = json.loads(outcome.out)
    assert set(printed["metrics"]) == {"FID[mnist-cnn]", "IS[mnist-cnn]"}
    assert set(printed) == {"metrics", "receipt"}
    (kept,) = (run.path / "scores").glob("mnist-cnn-*.json")
    assert json.loads(kept.read_text()) == printed
    again = run.score(n=500, metrics=["fid", "is"])
    assert again["FID[mnist-cnn]"].value == printed["metrics"]["FID[mnist-cnn]"]["value"]


def test_the_receipt_says_how_it_was_measured(fakes: Path) -> None:
    score = cf.score(fakes, "mnist5k", metrics=["fid"], n=300, seed=4)
    receipt = score.receipt
    same = {"sizes": [[28, 28]], "channels": 1}
    assert receipt["generated"] | {"digest": ""} == {
        "kind": "npz",
        "name": str(fakes),
        "n": 300,
        "seed": 4,
        "repeats": 1,
        "digest": "",
        "form": {"stored": same, "compared": {"size": [28, 28], "channels": 1}, "filter": None},
    }
    assert receipt["real"]["form"] == receipt["generated"]["form"]
    assert receipt["real"]["n"] == 5000 and len(receipt["real"]["digest"]) == 64
    assert receipt["detector"]["name"] == "mnist-cnn" and len(receipt["detector"]["weights_sha256"]) == 64
    assert receipt["floor"] is None, "mnist5k has no other split"
    assert receipt["versions"]["counterfeit"] == cf.__version__
    json.dumps(score.to_dict(), allow_nan=False)


def test_the_table_names_the_detector_and_says_when_there_are_few_images(fakes: Path, command) -> None:
    outcome = command("score", fakes, "--real", "mnist5k", "--metrics", "fid,kid", "-n", 300)
    assert outcome.code == 0, outcome.err
    assert "FID[mnist-cnn]" in outcome.out and "KID[mnist-cnn]" in outcome.out
    assert "300 images are few" in outcome.out and "subset(s) of 300 images, not 1000" in outcome.out
    assert "detector mnist-cnn: it was trained on mnist" in outcome.err


@pytest.fixture(scope="module")
def parts(test_cache) -> tuple[ImageSet, ImageSet]:
    """mnist5k cut into 1,500 images to train on and 600 that pass as MNIST's test images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    order = np.random.default_rng(1).permutation(5000)
    return tuple(
        replace(
            data,
            name="mnist",
            split=split,
            images=data.images[rows],
            labels=data.labels[rows],
            digest=f"{split} of a test, {len(rows)}",
        )
        for split, rows in (("train", order[:1500]), ("test", order[1500:2100]))
    )


def test_every_metric_of_the_registry_can_be_asked_for(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a copier: half of its images are training images. Each value is finite and has its floor or none."""
    train, test = parts
    other = cf.load_data("mnist5k").images[:200]
    copier = np.concatenate([train.images[:200], other])
    metrics = {name: metric for name, metric in METRICS.items() if not OF_CLASSES & set(metric.needs)}
    monkeypatch.setattr(baselines, "MOST_DRAWS", 1)
    scorer = Scorer(detectors.load("mnist-cnn"), test, other=train, train=train)
    score = scorer.score(Images.of(copier, test), list(metrics), 400)
    assert list(score) == [f"{label}[mnist-cnn]" for metric in metrics.values() for label in metric.labels]
    for metric in metrics.values():
        for label in metric.labels:
            scored = score[f"{label}[mnist-cnn]"]
            assert np.isfinite(scored.value) and scored.better == metric.better
            assert (scored.floor is None) == ("train" in metric.needs)
    assert score["Near-copies[mnist-cnn]"].extras["flagged"] == 1
    assert score["Near-copies (test)[mnist-cnn]"].extras["flagged"] == 0


def test_a_collapsed_generator_gets_finite_numbers(parts) -> None:
    train, test = parts
    same = np.repeat(test.images[:1], 500, axis=0)
    metrics = [name for name, metric in METRICS.items() if not OF_CLASSES & set(metric.needs)]
    scorer = Scorer(detectors.load("mnist-cnn"), test, train=train)
    score = scorer.score(Images.of(same, test), metrics, 500)
    assert all(np.isfinite(scored.value) for scored in score.values())
    assert score["Recall[mnist-cnn]"].value < 0.05


def test_real_images_score_better_than_noise_and_the_order_of_a_set_is_nothing(digits) -> None:
    images, real = np.split(digits[0], 2)
    noise = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    good = cf.score(images, real, detector="mnist-cnn", metrics=QUICK)
    bad = cf.score(noise, real, detector="mnist-cnn", metrics=QUICK)
    assert good["FID[mnist-cnn]"].value < bad["FID[mnist-cnn]"].value / 10
    assert good["KID[mnist-cnn]"].value < bad["KID[mnist-cnn]"].value / 10
    assert good["PRDC-precision[mnist-cnn]"].value > 0.8 > 0.2 > bad["PRDC-precision[mnist-cnn]"].value
    shuffled = cf.score(images[::-1].copy(), real, detector="mnist-cnn", metrics=["fid"])
    assert shuffled["FID[mnist-cnn]"].value == pytest.approx(good["FID[mnist-cnn]"].value, rel=1e-9)


def test_a_conditional_run_is_asked_whether_it_draws_what_was_asked_for(
    parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(__file__).parents[1] / "zoo/counterfeit_zoo/csngan-mnist", tmp_path / "run")
    run = cf.load(tmp_path / "run", device="cpu")
    asked = ["label-accuracy", "fid", "ifid", "iprecision-recall"]
    train, test = parts
    monkeypatch.setattr(baselines, "MOST_DRAWS", 2)
    scores = Scorer(detectors.load("mnist-cnn"), test, other=train).score(run.generated(), asked, 200)
    score, of_all, of_class = (scores[f"{label}[mnist-cnn]"] for label in ("Label-accuracy", "FID", "iFID"))
    assert score.value > 0.5, "chance is 0.1"
    for one in (score, of_class):
        assert {name for name in one.extras if name.startswith("class_")} == {f"class_{c}" for c in range(10)}
    assert score.floor is not None and score.floor > 0.98
    assert of_class.floor is not None and of_all.floor < of_class.floor < of_class.value, "of 20 images a class"
    assert of_class.uncertainty > 0 and any("20 images" in note for note in of_class.notes)
    for label in ("iPrecision", "iRecall"):
        one = scores[f"{label}[mnist-cnn]"]
        assert 0.5 < one.floor < 1 and 0 < one.value < 1
    with monkeypatch.context() as patch:
        patch.setattr(sampling, "samples", None)  # refused before an image is drawn
        with pytest.raises(cf.InputError, match="iFID needs at least 2 real and 2 .* of class 5 there are .* 1 gener"):
            run.score("mnist", n=15, metrics=["ifid"])
    with pytest.raises(cf.InputError, match="needs the labels"):
        cf.score(np.zeros((10, 28, 28), np.uint8), "mnist", metrics=["label-accuracy"])


def test_classes_of_labeled_sets_are_matched_by_name_and_asked_for_only_by_request(digits, tmp_path: Path) -> None:
    images, labels = digits
    names = np.array([str(c) for c in range(10)])
    np.savez(tmp_path / "real.npz", images=images, labels=labels, classes=names)
    np.savez(tmp_path / "same.npz", images=images[::2], labels=labels[::2], classes=names)
    np.savez(tmp_path / "turned.npz", images=images[::2], labels=9 - labels[::2], classes=names[::-1])
    np.savez(tmp_path / "wrong.npz", images=images[::2], labels=9 - labels[::2], classes=names)

    def score(name: str, real: object = tmp_path / "real.npz", metrics=("ifid", "fid")) -> cf.Score:
        return cf.score(tmp_path / name, real, detector="mnist-cnn", metrics=metrics, n=500)

    same, turned, wrong = (score(f"{name}.npz")["iFID[mnist-cnn]"] for name in ("same", "turned", "wrong"))
    assert turned.value == same.value < wrong.value / 5 and same.floor is None, "a file has no other split"
    assert "iFID[mnist-cnn]" not in score("same.npz", metrics=None)
    np.savez(tmp_path / "other.npz", images=images[::2], labels=labels[::2], classes=np.array(list("abcdefghij")))
    np.savez(tmp_path / "few.npz", images=images[:12], labels=np.arange(12) % 10, classes=names)
    np.savez(tmp_path / "none.npz", images=images[:100])
    for name, real, says in (
        ("other.npz", tmp_path / "real.npz", "has the class 'a', which the real images do not have"),
        ("few.npz", tmp_path / "real.npz", "of class 2 there are .* 1 generated ones, and so few of 7 other"),
        ("none.npz", tmp_path / "real.npz", "needs the classes of the generated images, which .*none.npz"),
        ("same.npz", tmp_path / "none.npz", "needs the classes of the real images, which .*none.npz does not"),
    ):
        with pytest.raises(cf.InputError, match=says):
            score(name, real)


def test_a_run_is_not_scored_against_images_of_another_form(run: cf.Run, digits) -> None:
    with pytest.raises(cf.InputError, match="28x28 gray.*20x20 gray: pass --size 20"):
        run.score(digits[0][:, :, :20, :20], n=100, metrics=["fid"])
    colors = np.concatenate([digits[0], digits[0], 255 - digits[0]], axis=1)
    with pytest.raises(cf.InputError, match="28x28 gray.*28x28 RGB: color and gray"):
        run.score(colors, n=100, metrics=["fid"])


def test_labels_are_asked_of_a_detector_that_knows_the_classes_only(digits, tmp_path: Path) -> None:
    """Three classes of one's own: what the detector calls 0, 1, 2 are others."""
    images, labels = digits
    run = cf.train("cvae", images[labels < 3], labels=labels[labels < 3], out=tmp_path / "r", epochs=1, quiet=True)
    score = run.score(images, n=100, detector="fashion-cnn")
    assert "FID[fashion-cnn]" in score and "Label-accuracy[fashion-cnn]" not in score


def test_repeats_are_independent_draws(run: cf.Run, fakes: Path) -> None:
    score = run.score(n=200, metrics=["fid"], repeats=3)
    fid = score["FID[mnist-cnn]"]
    single = [run.score(n=200, metrics=["fid"], seed=s)["FID[mnist-cnn]"].value for s in range(3)]
    assert fid.value == pytest.approx(np.mean(single)) and fid.uncertainty == pytest.approx(np.std(single, ddof=1))
    with pytest.raises(cf.InputError, match="--repeats needs a generator"):
        cf.score(fakes, "mnist5k", repeats=2)


def test_a_folder_an_array_and_a_callable_score_like_the_file(fakes: Path, digits, tmp_path: Path) -> None:
    images, _ = digits
    (tmp_path / "pngs").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[0]).save(tmp_path / "pngs" / f"{i:04d}.png")
    values = [
        cf.score(source, "mnist5k", metrics=["fid"], n=1000)["FID[mnist-cnn]"].value
        for source in (fakes, tmp_path / "pngs", images, lambda n, seed: images[:n])
    ]
    assert values == pytest.approx([values[0]] * 4, rel=1e-12)


def test_a_detector_of_ones_own(digits) -> None:
    def pixels(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), 7).flatten(1)

    score = cf.score(digits[0], "mnist5k", detector=pixels, metrics=["fid"])
    assert list(score) == ["FID[pixels()]"] and score.receipt["detector"]["weights_sha256"] is None
    for wrong, says in ((lambda x: x.float(), "returns"), (lambda x: torch.full((len(x), 3), float("nan")), "NaN")):
        with pytest.raises(cf.InputError, match=says):
            cf.score(digits[0], "mnist5k", detector=wrong, metrics=["fid"])


def test_stale_features_are_never_met(digits, tmp_path: Path, monkeypatch) -> None:
    """The same folder with other images: the cache knows by the digest."""
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    images, _ = digits
    for part in (images[:400], images[400:800]):
        np.savez(tmp_path / "real.npz", images=part)
        cached = cf.score(images[800:], tmp_path / "real.npz", detector="mnist-cnn", metrics=["fid"])
        fresh = cf.score(images[800:], part, detector="mnist-cnn", metrics=["fid"])
        assert cached["FID[mnist-cnn]"].value == fresh["FID[mnist-cnn]"].value
    files = list((cache_dir() / "features").glob("*.npz"))
    assert len(files) == 2
    files[0].write_bytes(files[0].read_bytes()[:1000])  # cut short by a full disk, say: made again
    np.savez(tmp_path / "real.npz", images=images[:400])
    cf.score(images[800:], tmp_path / "real.npz", detector="mnist-cnn", metrics=["fid"])


def test_two_processes_score_into_the_same_cache(fakes: Path, tmp_path: Path, digits, monkeypatch) -> None:
    np.savez(tmp_path / "real.npz", images=digits[0])
    words = ["score", str(fakes), "--real", str(tmp_path / "real.npz"), "--detector", "mnist-cnn"]
    words += ["--metrics", "fid", "-n", "200", "--json"]
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    both = [
        subprocess.Popen([sys.executable, "-m", "counterfeit", *words], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    values = [json.loads(process.communicate(timeout=120)[0])["metrics"] for process in both]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fakes.npz"], ["--real is missing"]),
        (["nowhere.npz", "--real", "mnist5k"], ["nowhere.npz"]),
        (["fakes.npz", "--real", "mnits"], ["did you mean 'mnist'?"]),
        (["fakes.npz", "--real", "mnist5k:test"], ["mnist5k", "test"]),
        (["fakes.npz", "--real", "mnist5k", "--metrics", "fjd"], ["no metric named 'fjd'", "did you mean 'fid'?"]),
        (["fakes.npz", "--real", "mnist5k", "--metrics", "ct"], ["C_T needs the features of the images that"]),
        (["fakes.npz", "--real", "mnist5k", "--detector", "mnist-cn"], ["did you mean 'mnist-cnn'?"]),
        (["fakes.npz", "--real", "mnist5k", "-n", 1], ["2 or more images"]),
        (["one.npz", "--real", "mnist5k"], ["1 image"]),
        (["small.npz", "--real", "mnist5k"], ["20x20 gray", "28x28 gray"]),
        (["color.npz", "--real", "mnist5k"], ["28x28 RGB", "28x28 gray"]),
        (["empty", "--real", "mnist5k"], ["empty", "no images"]),
        (["broken", "--real", "mnist5k"], ["0005.png", "skip"]),
        (["fakes.npz", "--real", "mnist5k", "--detector", "inception", "--weights", "nowhere.pth"], ["nowhere.pth"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_bad_input(words, says, fakes: Path, digits, tmp_path: Path, command) -> None:
    images, _ = digits
    np.savez(tmp_path / "one.npz", images=images[:1])
    np.savez(tmp_path / "small.npz", images=images[:, :, :20, :20])
    np.savez(tmp_path / "color.npz", images=np.concatenate([images, images, 255 - images], axis=1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for i in range(10):
        Image.fromarray(images[i, 0]).save(tmp_path / "broken" / f"{i:04d}.png")
    (tmp_path / "broken" / "0005.png").write_bytes(b"no picture")
    outcome = command("score", *words)
    last = outcome.err.strip().splitlines()[-1]
    assert outcome.code == 2 and outcome.out == "" and last.startswith("counterfeit: ")
    assert all(word in last for word in says), last


def test_scores_while_training_mark_best_and_final(tmp_path: Path) -> None:
    run = cf.train("vae", "mnist5k", out=tmp_path / "run", epochs=3, score_every=2, quiet=True)
    curve = [(row["epoch"], row["FID[mnist-cnn]"]) for row in run.log if "FID[mnist-cnn]" in row]
    assert [epoch for epoch, _ in curve] == [2, 3]
    final = run.score("mnist5k", n=2000, metrics=["fid"], seed=0)["FID[mnist-cnn]"].value
    assert curve[-1][1] == pytest.approx(final, rel=1e-6), "the last row is the score of the finished run"


def test_of_very_many_real_images_a_seeded_choice_is_compared_with_and_the_receipt_says_so(
    digits, fakes: Path, monkeypatch, capsys
) -> None:
    images = digits[0]
    whole = cf.score(fakes, real=images, metrics=QUICK)
    assert whole.receipt["real"]["n"] == len(images) == 1000
    monkeypatch.setattr("counterfeit.scoring.images.MOST_REAL", 600)
    bounded = cf.score(fakes, real=images, metrics=QUICK)
    assert (bounded.receipt["real"]["n"], bounded.receipt["real"]["of"]) == (600, 1000)
    assert "compared with 600 of its 1,000 images, a random subset" in capsys.readouterr().err
    chosen = images[np.sort(np.random.default_rng(0).permutation(1000)[:600])]
    by_hand = cf.score(fakes, real=chosen, metrics=QUICK)
    assert {name: found.value for name, found in bounded.metrics.items()} == {
        name: found.value for name, found in by_hand.metrics.items()
    }


def test_a_detector_that_sees_nothing_is_refused(digits) -> None:
    images, _ = digits

    def nothing(batch: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(batch), 8)

    with pytest.raises(cf.InputError, match="same features for all 200 images"):
        cf.score(images[:200], images[200:400], detector=nothing, n=200, metrics=["fid"])


def test_neighbors_of_real_images_are_sought_once_and_change_no_bit(digits, cache, monkeypatch) -> None:
    """By the first scorer, for its baseline's draws too; the second one has them from the cache."""
    parts = [cf.load_data(digits[0][of]) for of in (slice(0, 300), slice(300, 610), slice(610, 1000))]
    sought: list[int] = []
    of = balls.Neighbors.of
    monkeypatch.setattr(balls.Neighbors, "of", lambda rows, protocols: sought.append(len(rows)) or of(rows, protocols))

    def scored(real: cf.ImageSet) -> dict[str, Any]:
        scorer = Scorer(detectors.load("mnist-cnn", device="cpu"), real, parts[2])
        found = scorer.score(Images.of(parts[0], real), ["precision-recall", "prdc"], 300)
        return found.to_dict()["metrics"]

    first = scored(parts[1])
    assert sought.count(310) == 1 and len(sought) > 2
    sought.clear()
    assert scored(parts[1]) == first and sought == [300], "those of the generated images"
    detector = detectors.load("mnist-cnn", device="cpu")
    fake, real = (detector(part.images).features for part in parts[:2])
    for name, value in {**precision_recall(real, fake), **prdc(real, fake)}.items():
        assert first[f"{name}[mnist-cnn]"]["value"] == value.value


def test_what_is_kept_of_real_images_does_not_depend_on_what_was_scored_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """KID's subsets and the cells of C_T depend on the number of generated images: scores of several numbers in turn,
    by one scorer in one cache, are those that are computed without it."""
    whole = cf.load_data("mnist5k").images
    real, train = (cf.load_data(whole[part]) for part in (slice(800), slice(800, 1600)))
    fakes = Images.of_set(cf.load_data(whole[1600:2100] // 2))
    metrics = ["kid", "prdc", "precision-recall", "ct", "authenticity"]

    def values(scorer: Scorer, n: int) -> dict[str, Any]:
        found = scorer.score(fakes, metrics, n)
        return {label: (scored.value, scored.uncertainty) for label, scored in found.items()}

    def scorer() -> Scorer:
        return Scorer(detectors.load("mnist-cnn"), real, train=train, quiet=True)

    first = scorer()
    kept = {n: values(first, n) for n in (500, 450, 250, 120)}
    read = values(scorer(), 250)
    monkeypatch.setattr(Scorer, "_keep", staticmethod(computed))
    assert kept == {n: values(scorer(), n) for n in kept}
    assert read == kept[250]
