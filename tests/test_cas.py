"""Classification Accuracy Score: what it says of real, mislabeled and missing images, what it keeps and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.data import ImageSet
from counterfeit.detectors.training import RECIPES, fit, recipe_for, sized
from counterfeit.models.build import conditional
from counterfeit.scoring import Images
from counterfeit.scoring import cas as module
from counterfeit.scoring.cas import NAME, Labeled, cas, in_terms_of
from counterfeit.settings import ScoreConfig

QUICK = ScoreConfig(n=800, device="cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST's recipe with 2 epochs instead of 8: enough to tell digits from chance."""
    monkeypatch.setattr(module, "recipe_for", lambda data, channels: replace(RECIPES["mnist"], epochs=2))


@pytest.fixture(scope="module")
def parts(test_cache: Path) -> tuple[ImageSet, ImageSet, ImageSet]:
    """mnist5k at half its size, cut into 1,000 digits that stand for generated ones, 1,000 to train on, 500 to test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    assert data.labels is not None
    data = replace(data, images=data.images[:, :, ::2, ::2])
    order = np.random.default_rng(1).permutation(5000)
    rows = {"fakes": order[:1000], "train": order[1000:2000], "test": order[2000:2500]}
    fakes, train, test = (
        replace(data, split=split, images=data.images[r], labels=data.labels[r], digest=f"{split} of a test")
        for split, r in rows.items()
    )
    return fakes, train, test


@pytest.fixture(scope="module")
def files(parts: tuple[ImageSet, ImageSet, ImageSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fakes.npz and real.npz."""
    folder = tmp_path_factory.mktemp("cas")
    for name, images in zip(("fakes", "real"), (parts[0], parts[2]), strict=True):
        np.savez(folder / f"{name}.npz", images=images.images, labels=images.labels)
    return folder


def generator(images: ImageSet) -> Labeled:
    """As many images as one likes, drawn from a set with replacement."""

    def rows(n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, len(images), n)

    known = images.labels
    assert known is not None
    drawn = Images("a generator", None, lambda n, seed, group: iter([images.images[rows(n, seed)]]))
    return Labeled(drawn, lambda n, seed: known[rows(n, seed)], images.classes, images.shape)


def test_real_digits_teach_and_shuffled_labels_do_not_and_the_floor_is_kept(parts, tmp_path, monkeypatch) -> None:
    """A guess is right for a tenth, give or take three times the standard error 0.013 of a share of 500."""
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    trained = []

    def counted(images, labels, *rest, **named):
        trained.append(len(images))
        return fit(images, labels, *rest, **named)

    monkeypatch.setattr(module, "fit", counted)
    fakes, train, test = parts
    before = torch.random.get_rng_state()
    good = cas(Labeled.of_set(fakes), test, train, QUICK)
    assert torch.equal(torch.random.get_rng_state(), before), "the global random state is not ours"
    assert trained == [800, 800], "the generated images, and the real ones of the floor"
    shuffled = replace(fakes, labels=np.random.default_rng(0).permutation(fakes.labels))
    bad = cas(Labeled.of_set(shuffled), test, train, QUICK)
    assert trained == [800, 800, 800], "the floor came from the cache"
    assert good[NAME].value > 0.6 and good[NAME].floor > 0.6 and good[NAME].better == "higher"
    assert bad[NAME].value == pytest.approx(0.1, abs=0.1) and bad[NAME].floor == good[NAME].floor
    at = good[NAME].floor
    assert good[NAME].floor_std == pytest.approx((at * (1 - at) / 499) ** 0.5) and good[NAME].floor_draws == 1
    hits = good[NAME].value
    assert good[NAME].uncertainty == pytest.approx((hits * (1 - hits) / 499) ** 0.5, rel=1e-9), "ddof 1"
    shares = np.bincount(test.labels) / 500
    classes = [good[NAME].extras[f"class_{c}"] for c in range(10)]
    assert np.dot(shares, classes) == pytest.approx(hits, rel=1e-9)
    assert good.receipt["floor"] == {"name": "mnist5k", "split": "train", "n": 800, "digest": train.digest, "seed": 0}


def test_repeats_are_draws_and_classifiers_of_their_own_and_a_seed_repeats_itself(parts) -> None:
    few = replace(QUICK, n=300)
    source, test = generator(parts[0]), parts[2]
    both = cas(source, test, None, replace(few, repeats=2, seed=3))[NAME]
    single = [cas(source, test, None, replace(few, seed=s))[NAME].value for s in (3, 4)]
    assert [both.extras["draw_0"], both.extras["draw_1"]] == single, "bit for bit"
    assert single[0] != single[1]
    assert both.value == pytest.approx(np.mean(single)) and both.uncertainty == pytest.approx(np.std(single, ddof=1))
    assert both.floor is None and "2 independent draws" in both.uncertainty_kind
    assert {f"class_{c}" for c in range(10)} < set(both.extras)


def test_a_file_by_the_command_line(files: Path, command) -> None:
    """Without the nines: no classifier can know them then, and a note says so."""
    arrays = np.load(files / "fakes.npz")
    kept = arrays["labels"] < 9
    np.savez(files / "nines-lost.npz", images=arrays["images"][kept], labels=arrays["labels"][kept])
    words = ("cas", files / "nines-lost.npz", "--real", files / "real.npz", "-n", 400, "--device", "cpu")
    outcome = command(*words, "--json")
    assert outcome.code == 0, outcome.err
    printed = json.loads(outcome.out)
    scored, receipt = printed["metrics"][NAME], printed["receipt"]
    assert 0.3 < scored["value"] < 0.95 and scored["extras"]["class_9"] == 0
    assert scored["notes"] == ["no generated image has the label 9: the classifier cannot know what it was never shown"]
    assert scored["floor"] is None and receipt["floor"] is None, "a file has no other split"
    assert receipt["generated"]["n"] == 400 and len(receipt["generated"]["digest"]) == 64
    assert receipt["real"]["n"] == 500 and len(receipt["real"]["digest"]) == 64
    assert receipt["classifier"]["name"] == "small-cnn" and receipt["classifier"]["recipe"]["batch_size"] == 20
    assert receipt["versions"]["counterfeit"] == cf.__version__
    assert "small-cnn: 2 epochs on 400 images" in outcome.err
    table = command(*words)
    assert NAME in table.out and "no generated image has the label 9" in table.out


@pytest.fixture
def run(files: Path) -> cf.Run:
    """A cvae of the 1,000 digits."""
    return cf.train("cvae", files / "fakes.npz", out=files / "run", epochs=10, batch_size=50, quiet=True)


def test_a_run_is_asked_and_keeps_its_score(run: cf.Run, files: Path, command) -> None:
    outcome = command("cas", run.path, "--real", files / "real.npz", "-n", 800, "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    printed = json.loads(outcome.out)
    assert printed["metrics"][NAME]["value"] > 0.15, "chance is 0.1, with a standard error of 0.013"
    assert printed["metrics"][NAME]["notes"] == []
    assert printed["receipt"]["generated"]["digest"] == run.weights_sha256
    (kept,) = (run.path / "scores").glob("cas-*.json")
    assert kept.name.startswith("cas-real.npz-train-n800-seed0-") and json.loads(kept.read_text()) == printed
    on_its_own = cf.cas(run, n=100)[NAME]
    assert len(on_its_own.notes) == 1 and "was trained on the very images of this test" in on_its_own.notes[0]
    with pytest.raises(cf.InputError, match="labels= is only for an array"):
        cf.cas(run, labels=[1])


def test_an_array_and_a_folder_with_a_subfolder_a_class(parts, files: Path) -> None:
    """A folder's classes are in the order of their names; here only two of ten, and the same score comes out."""
    fakes = parts[0]
    rows = np.concatenate(
        [np.flatnonzero(fakes.labels == c)[:30] for c in (3, 7)]
    )  # as a folder is read: class by class
    for i, row in enumerate(rows):
        path = files / "pngs" / str(fakes.labels[row]) / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(fakes.images[row, 0]).save(path)
    real = files / "real.npz"
    folder = cf.cas(str(files / "pngs"), real, n=60)[NAME]
    array = cf.cas(fakes.images[rows], real, n=60, labels=fakes.labels[rows])[NAME]
    assert folder.value == array.value and "label 0, 1, 2, 4, 5, 6, 8, 9" in folder.notes[0]


def test_real_images_to_train_on_that_have_no_labels_give_no_floor(parts, files: Path, tmp_path: Path) -> None:
    _, train, test = parts
    np.savez(tmp_path / "half.npz", x_train=train.images, x_test=test.images, y_test=test.labels)
    score = cf.cas(files / "fakes.npz", tmp_path / "half.npz", n=200)
    assert score[NAME].floor is None and score.receipt["floor"] is None and score[NAME].value > 0.2


def test_a_training_split_is_never_tested_on_without_a_word(parts) -> None:
    fakes, train, test = parts
    few = replace(QUICK, n=50)
    source = replace(Labeled.of_set(fakes), trained_on=test.digest)
    assert "very images of this test" in cas(source, test, None, few)[NAME].notes[0]
    assert "is a training split" in cas(generator(fakes), train, None, few)[NAME].notes[0]
    assert cas(generator(fakes), test, None, few)[NAME].notes == ()


def test_a_generator_that_collapsed_gets_a_finite_score(parts) -> None:
    """One flat image for every label: the standard deviation of its pixels is 0."""
    fakes, _, test = parts
    same = replace(fakes, images=np.zeros_like(fakes.images))
    assert 0 <= cas(Labeled.of_set(same), test, None, replace(QUICK, n=200))[NAME].value < 0.25


def test_labels_in_terms_of_the_real_classes() -> None:
    def told(real: str, labels: list[int], classes: str) -> list[int]:
        return in_terms_of(real.split(), np.array(labels), classes.split(), "x").tolist()

    assert told("0 1 2", [2, 0], "0 1 2") == [2, 0]
    assert told("shirt bag boot", [2, 0], "0 1 2") == [2, 0], "numbers, as an .npz file has them"
    assert told("cat dog emu", [1, 0], "cat emu") == [2, 0], "names, as a folder has them"
    assert told("shirt bag boot", [1, 0], "0 2") == [2, 0], "a folder of numbers"
    assert told("0 1 10 11 2", [4], "0 1 10 11 2") == [4]
    twelve = [str(i) for i in range(12)]
    by_letter = " ".join(sorted(twelve))
    assert told(by_letter, [2, 10], " ".join(twelve)) == [4, 2], "the classes 2 and 10 by name, not the third and 11th"
    assert told(" ".join(twelve), [2, 4], by_letter) == [10, 2]
    assert told("a/b con é", [0, 1, 2], "%63on a%2Fb é") == [1, 0, 2], "as `sample` spells folders"
    assert told("%63on con", [0, 1], "%63on con") == [0, 1], "a name as it stands goes before what it may spell"
    with pytest.raises(cf.InputError, match="'emu'"):
        told("cat dog", [0, 1], "cat emu")
    with pytest.raises(cf.InputError, match="label 2, and the real images have 0 to 1"):
        told("cat dog", [0, 2], "0 1 2")


def test_twelve_numbered_classes_are_met_by_name_from_an_array_a_file_and_a_folder(parts, tmp_path: Path) -> None:
    """Digits, and inverted zeros and ones as 10 and 11, which come before 2 by letter: ten of twelve would be wrong."""
    fakes = parts[0]
    more = np.flatnonzero(fakes.labels < 2)[:160]
    images = np.concatenate([fakes.images[:800], 255 - fakes.images[more]])
    labels = np.concatenate([fakes.labels[:800], 10 + fakes.labels[more]])
    np.savez(tmp_path / "file.npz", images=images, labels=labels)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "folder" / str(label) / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
    file, folder = tmp_path / "file.npz", tmp_path / "folder"
    for source, real, of_array in ((file, folder, None), (folder, file, None), (images, folder, labels)):
        assert cf.cas(source, real, n=960, labels=of_array, device="cpu")[NAME].value > 0.7


def test_what_is_matched_by_number_is_said(parts, capsys) -> None:
    fakes, _, test = parts
    named = replace(test, classes=tuple("zero one two three four five six seven eight nine".split()))
    by_number = cas(Labeled.of_set(fakes), named, None, replace(QUICK, n=50))[NAME]
    assert "by number: 0 is zero, 1 is one, 2 is two" in capsys.readouterr().err
    assert by_number.value == cas(Labeled.of_set(fakes), test, None, replace(QUICK, n=50))[NAME].value
    assert "by number" not in capsys.readouterr().err


def test_size_brings_both_sides_to_it_and_the_receipt_says_so(parts, tmp_path: Path) -> None:
    fakes, _, test = parts
    few = {"n": 100, "device": "cpu"}
    np.savez(tmp_path / "small.npz", images=fakes.images[:, :, 2:12, 2:12], labels=fakes.labels)
    np.savez(tmp_path / "real.npz", images=test.images.repeat(3, axis=1), labels=test.labels)
    receipt = cf.cas(tmp_path / "small.npz", tmp_path / "real.npz", size=10, **few).receipt
    assert receipt["real"]["form"]["stored"] == {"sizes": [[14, 14]], "channels": 3}
    assert receipt["real"]["form"]["compared"] == receipt["generated"]["form"]["compared"]
    assert receipt["generated"]["form"] == {
        "stored": {"sizes": [[10, 10]], "channels": 1},
        "compared": {"size": [10, 10], "channels": 1},
        "filter": None,
    }


def test_the_recipe_of_a_data_set_and_the_batches_of_few_images() -> None:
    assert [recipe_for(name, 1).name for name in ("mnist", "mnist5k", "fashion-mnist")] == [
        "mnist-cnn",
        "mnist-cnn",
        "fashion-cnn",
    ]
    assert [recipe_for("my/pictures", channels).name for channels in (1, 3)] == ["fashion-cnn", "cifar10-cnn"]
    recipe = RECIPES["mnist"]
    assert [sized(recipe, n).batch_size for n in (2, 7, 100, 1000, 5000, 60_000)] == [2, 7, 10, 50, 250, 250]
    assert sized(recipe, 60_000) == recipe, "the shipped recipes are untouched"
    with pytest.raises(cf.InputError, match="fewer than one batch of 250"):
        fit(np.zeros((9, 1, 28, 28), np.uint8), np.zeros(9, int), 10, recipe)


@pytest.fixture(scope="module")
def spoiled(files: Path, parts: tuple[ImageSet, ImageSet, ImageSet]) -> None:
    """Sources that cannot be used, beside the good ones."""
    images, labels = parts[0].images, parts[0].labels
    np.savez(files / "unlabeled.npz", images=images)
    np.savez(files / "eleven.npz", images=images, labels=np.arange(1000) % 11)
    np.savez(files / "small.npz", images=images[:, :, :10, :10], labels=labels)
    for i in range(10):
        for path in (files / "flat", files / "named" / ("cat" if i % 2 else "dog")):
            path.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[i, 0]).save(path / f"{i}.png")
    cf.train("vae", files / "unlabeled.npz", out=files / "vae", epochs=1, quiet=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["unlabeled.npz", "--real", "real.npz"], ["unlabeled.npz has no labels", "array 'labels'"]),
        (["flat", "--real", "real.npz"], ["flat has no labels", "each class has a subfolder"]),
        (["vae", "--real", "real.npz"], ["vae is a run of vae, whose images have no labels", f"use {conditional()}"]),
        (["fakes.npz"], ["--real is missing"]),
        (["fakes.npz", "--real", "unlabeled.npz"], ["unlabeled.npz has no labels to test", "--real"]),
        (["fakes.npz", "--real", "mnits"], ["did you mean 'mnist'?"]),
        (["small.npz", "--real", "real.npz"], ["10x10 gray", "14x14 gray"]),
        (["eleven.npz", "--real", "real.npz"], ["eleven.npz has the label 10", "0 to 9"]),
        (["named", "--real", "real.npz"], ["named has the class 'cat'", "0, 1, 2"]),
        (["nowhere.npz", "--real", "real.npz"], ["nowhere.npz"]),
        (["fakes.npz", "--real", "real.npz", "-n", 1], ["2 or more images"]),
        (["fakes.npz", "--real", "real.npz", "--repeats", 2], ["--repeats needs a generator"]),
        (["fakes.npz", "--real", "real.npz", "--device", "cuda:7"], ["--device cuda:7 cannot be used here"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_bad_input(words, says, files: Path, spoiled, command, monkeypatch) -> None:
    monkeypatch.chdir(files)
    outcome = command("cas", *words)
    last = outcome.err.strip().splitlines()[-1]
    assert outcome.code == 2 and outcome.out == "" and last.startswith("counterfeit: "), outcome.err
    assert all(word in last for word in says), last
