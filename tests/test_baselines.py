"""What real images get in the place of generated ones: which images, how many draws, which spread, what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit import data as datasets
from counterfeit import detectors
from counterfeit.data import ImageSet
from counterfeit.data.image_set import content_digest
from counterfeit.detectors import Detector
from counterfeit.metrics import METRICS
from counterfeit.metrics.class_balance import class_kl
from counterfeit.metrics.frechet import fid
from counterfeit.metrics.inception_score import inception_score
from counterfeit.scoring import Images, Scorer
from counterfeit.scoring.baselines import Baselines, has_seen

KNOWN = ["fid", "is", "class-kl", "label-accuracy"]


@pytest.fixture(scope="module")
def parts(test_cache) -> tuple[ImageSet, ImageSet]:
    """2,000 images of mnist5k that the detector has seen, and 1,000 that pass as new: a train and a test split."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    order = np.random.default_rng(2).permutation(5000)
    train, test = order[:2000], order[2000:3000]
    return part(data, "train", train), part(data, "test", test)


def part(data: ImageSet, split: str, rows: np.ndarray) -> ImageSet:
    images, labels = data.images[rows], data.labels[rows]
    digest = content_digest(images, labels)
    return replace(data, name="mnist", split=split, images=images, labels=labels, digest=digest)


def scored(parts, n: int, metrics=KNOWN, seed: int = 0) -> cf.Score:
    train, test = parts
    fakes = Images.of(np.concatenate([train.images, test.images]), test)
    labeled = replace(fakes, most=None, labels=lambda n: np.zeros(n, np.int64))
    return Scorer(detectors.load("mnist-cnn"), test, train, quiet=True).score(labeled, metrics, n, seed)


def choice(total: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(total)


def test_each_metric_has_the_mean_and_spread_of_the_images_that_a_perfect_model_could_reach(parts, cache) -> None:
    """FID: three disjoint draws of the other split. Of classes: test images, for the detector has seen the others."""
    train, test = parts
    score = scored(parts, 600)
    detector = detectors.load("mnist-cnn")
    seen, new = detector(train.images), detector(test.images)
    order = choice(2000)
    by_hand = [fid(new.features, seen.features[np.sort(order[i : i + 600])]).value for i in (0, 600, 1200)]
    found = score["FID[mnist-cnn]"]
    # Moments of the same rows: the same bits but for BLAS on another memory layout.
    assert found.floor == pytest.approx(np.mean(by_hand), rel=1e-9)
    assert found.floor_std == pytest.approx(np.std(by_hand, ddof=1), rel=1e-6) and found.floor_draws == 3

    chosen = np.sort(choice(1000)[:600])
    right = inception_score(new.probabilities[chosen])
    found = score["IS[mnist-cnn]"]
    assert (found.floor, found.floor_std, found.floor_draws) == (right.value, right.uncertainty, 1)
    found = score["Label-accuracy[mnist-cnn]"]
    hits = new.probabilities[chosen].argmax(1) == test.labels[chosen]
    assert found.floor == hits.mean() and found.floor_std is not None

    orders = [np.random.default_rng([0, i]).permutation(1000) for i in range(5)]
    halves = [class_kl(new.probabilities[order[500:]], new.probabilities[order[:500]]).value for order in orders]
    found = score["Class-KL[mnist-cnn]"]
    assert found.floor == pytest.approx(np.mean(halves), rel=1e-9), "which reads counts, whatever the order"
    assert found.floor_std == pytest.approx(np.std(halves, ddof=1), rel=1e-6) and found.floor_draws == 5
    assert found.notes == (
        "the value of real images beside it is of 500 images against 500, not of 600: there are no more that the "
        "detector was not trained on",
    )
    floor, of_classes = score.receipt["floor"], score.receipt["floor_of_classes"]
    assert (floor["split"], floor["n"], floor["draws"]) == ("train", 600, 3)
    assert (of_classes["split"], of_classes["n"], of_classes["draws"]) == ("test", 600, 1)
    assert f"{number_of(score, 'FID')}" in score.table()


def number_of(score: cf.Score, label: str) -> str:
    """As the table prints it: 0.915 ± 0.037."""
    one = score[f"{label}[mnist-cnn]"]
    assert one.floor is not None and one.floor_std is not None
    places = 1 - int(np.floor(np.log10(one.floor_std)))
    return f"{one.floor:.{places}f} ± {one.floor_std:.{places}f}"


def test_draws_of_few_images_are_five_and_come_from_the_cache_the_second_time(parts, cache, monkeypatch) -> None:
    first = scored(parts, 100)
    assert [one.floor_draws for one in first.values()] == [5, 5, 5, 5]
    monkeypatch.setattr(Baselines, "_computed", None)
    again = scored(parts, 100)
    assert {k: (v.floor, v.floor_std) for k, v in again.items()} == {
        k: (v.floor, v.floor_std) for k, v in first.items()
    }


def test_the_draws_are_the_same_for_every_seed_of_a_score(parts) -> None:
    """They are of real images, which no seed of a model changes: another one took minutes and gave another value."""
    found = [scored(parts, 400, ["fid", "class-kl"], seed) for seed in (0, 1)]
    for label in ("FID[mnist-cnn]", "Class-KL[mnist-cnn]"):
        assert found[0][label].value != found[1][label].value and found[0][label].floor == found[1][label].floor
    assert found[0].receipt["floor"] == found[1].receipt["floor"]


def test_the_same_draws_come_from_features_of_the_whole_split_and_from_those_of_the_draws_alone(parts) -> None:
    train, test = parts
    detector = detectors.load("mnist-cnn")
    wanted = {"fid": METRICS["fid"]}
    found = {images.digest: detector(images.images) for images in parts}
    of = [Baselines(detector, test, train, lambda s: found[s.digest], known) for known in ({}, found)]
    stand = of[0].stand_ins(METRICS["fid"], 200)
    assert stand is not None
    alone, whole = (one._computed(stand, list(wanted.values()))["FID"] for one in of)
    np.testing.assert_array_equal(alone, whole)


def test_more_generated_images_than_real_ones_to_spare_is_said_of_every_value_and_once_in_print(parts) -> None:
    """14,000 images had the value of 10,000 beside them, 0.256 for 0.157, without a word."""
    score = scored(parts, 2100, ["fid", "is"])
    assert [(one.floor_draws, one.floor is None) for one in score.values()] == [(1, False), (1, False)]
    assert score["FID[mnist-cnn]"].notes == (
        "the value of real images beside it is of 2,000 images, not of 2,100: there are no more to spare",
    )
    assert "of 1,000 images, not of 2,100" in score["IS[mnist-cnn]"].notes[-1]
    assert score.receipt["floor"]["n"] == 2000
    few = scored(parts, 60, ["fid", "fid-infinity", "kid"])
    noise = [line for line in few.table().splitlines() if "subset(s)" in line]
    assert len(noise) == 1, noise


@pytest.mark.parametrize(
    ("detector", "real", "other", "of_features", "of_classes"),
    [
        ("mnist-cnn", "mnist:test", "mnist:train", "mnist:train", "mnist:test"),
        ("mnist-cnn", "mnist:train", "mnist:test", "mnist:test", "mnist:test"),
        ("mnist-cnn", "mnist:train", None, None, None),
        ("mnist-cnn", "mnist:test", None, None, "mnist:test"),
        ("mnist-cnn", "mnist5k:test", "mnist5k:train", "mnist5k:train", None),  # held out of what it was trained on
        ("fashion-cnn", "mnist5k:test", "mnist5k:train", "mnist5k:train", "mnist5k:train"),
        ("fashion-cnn", "mnist:test", "mnist:train", "mnist:train", "mnist:train"),
        ("inception", "mnist:test", "mnist:train", "mnist:train", "mnist:train"),
        ("inception@12345678", "photos:train", None, None, "photos:train"),
    ],
)
def test_which_images_stand_in(detector, real, other, of_features, of_classes) -> None:
    looks = Detector(detector, "as they are", 224, "0" * 64, torch.device("cpu"), 64, lambda x: (x, None))
    sets = {None: None} | {
        name: ImageSet(
            *name.split(":"), np.zeros((100, 1, 8, 8), np.uint8), np.zeros(100, np.int64), ("a",), name, "dataset"
        )
        for name in (real, other)
        if name
    }
    of = Baselines(looks, sets[real], sets[other], lambda images: None, {})  # type: ignore[arg-type, return-value]
    named = {name: of.stand_ins(METRICS[name], 20) for name in METRICS}
    found = {name: stand and f"{stand.images.name}:{stand.images.split}" for name, stand in named.items()}
    knows = of_classes if detector == "mnist-cnn" else None
    for name, metric in METRICS.items():
        wanted = of_classes if metric.judges_classes else of_features
        if "train" in metric.needs:
            wanted = None
        elif "labels" in metric.needs:
            wanted = knows
        assert found[name] == wanted, name
    assert named["class-kl"] is None or named["class-kl"].apart == (of_classes == real)


def test_what_nobody_can_keep_is_looked_at_for_one_draw_and_large_detectors_for_three(parts) -> None:
    def draws(dim: int | None, sha: str | None) -> int:
        looks = Detector("d", "as they are", dim, sha, torch.device("cpu"), 64, lambda x: (x, None))
        stand = Baselines(looks, parts[1], parts[0], lambda s: None, {}).stand_ins(METRICS["fid"], 100)  # type: ignore[arg-type, return-value]
        assert stand is not None
        return stand.draws

    assert (draws(224, "a"), draws(2048, "a"), draws(None, None)) == (5, 3, 1)


def test_what_is_held_out_of_the_images_that_a_detector_was_trained_on_is_seen_as_well(cache) -> None:
    """mnist5k has no test split of its own: all of it is of MNIST's training set."""
    mnist_cnn = detectors.load("mnist-cnn")
    held = datasets.load_splits("mnist5k", holdout=0.1)
    assert all(has_seen(mnist_cnn, images) for images in held.values())
    assert not has_seen(detectors.load("fashion-cnn"), held["test"])
    assert not has_seen(mnist_cnn, replace(held["test"], name="mnist"))
    assert Baselines(mnist_cnn, held["test"], held["train"], None, {}).stand_ins(METRICS["is"], 100) is None


def test_labels_of_classes_that_the_detector_does_not_know_are_said_to_be_taken_by_number(parts) -> None:
    """Circles and squares had the label accuracy 0, by a detector of clothes, without a word."""
    train, test = parts
    fakes = replace(Images.of(train, test), most=None, labels=lambda n: np.zeros(n, np.int64))
    for name, said in (("fashion-cnn", True), ("mnist-cnn", False)):
        scorer = Scorer(detectors.load(name), test, quiet=True)
        found = scorer.score(fakes, ["label-accuracy"], 20)[f"Label-accuracy[{name}]"]
        assert any("not known that these are its classes" in note for note in found.notes) == said
