"""Own images in splits: train/ and test/, two arrays of a file, a part that is held out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from own_images_cases import ASKED, QUICK, refused, write_folder
from PIL import Image

import counterfeit as cf
from counterfeit import data as datasets
from counterfeit.data import binarize
from counterfeit.data.own import held_out_rows
from counterfeit.data.rows import Rows, is_stored, take
from counterfeit.errors import DataError, InputError
from counterfeit.scoring import judge
from counterfeit.settings import ScoreConfig


def test_train_and_test_folders_are_two_splits(tmp_path: Path, real) -> None:
    images, labels = real
    write_folder(tmp_path / "own" / "train", images[:300], labels[:300] % 3)
    write_folder(tmp_path / "own" / "Test", images[300:], labels[300:] % 3)
    (tmp_path / "own" / ".hidden").mkdir()
    (tmp_path / "own" / "README.txt").write_text("not an image")
    assert datasets.splits(tmp_path / "own") == ("train", "test")
    train, test = (cf.load_data(tmp_path / "own", split) for split in ("train", "test"))
    assert (len(train), len(test), train.classes, test.classes) == (300, 100, ("0", "1", "2"), ("0", "1", "2"))
    assert (train.split, test.split) == ("train", "test") and train.name == test.name == str(tmp_path / "own")
    with pytest.raises(DataError, match="already has a test split"):
        cf.load_data(tmp_path / "own", holdout=0.1)


def test_test_images_that_are_smaller_than_the_training_size_are_enlarged_with_a_line(tmp_path: Path, capsys) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 40, 40), np.uint8)
    write_folder(tmp_path / "own" / "train", pixels)
    write_folder(tmp_path / "own" / "test", pixels[:, :, :24, :24])
    assert cf.load_data(tmp_path / "own", "test").shape == (1, 40, 40)
    assert "images in test/, down to 24 pixels, are enlarged to the 40" in capsys.readouterr().err
    assert cf.load_data(tmp_path / "own", "test", size=24).shape == (1, 24, 24)
    assert "enlarged" not in capsys.readouterr().err


def test_of_generated_images_in_splits_a_line_says_which_are_scored(tmp_path: Path, real, capsys) -> None:
    np.savez(tmp_path / "both.npz", x_train=real[0][:200], x_test=real[0][200:])
    score = cf.score(tmp_path / "both.npz", real[0], metrics=["fid"], detector="mnist-cnn", n=200)
    assert score.receipt["generated"]["n"] == 200
    assert "both.npz: it has several splits; train is used for the generated" in capsys.readouterr().err


def test_splits_that_do_not_fit_each_other_are_refused(tmp_path: Path, real) -> None:
    images, labels = real[0], np.arange(30)
    write_folder(tmp_path / "own" / "train", images[:30], labels % 3)
    write_folder(tmp_path / "own" / "test", images[:30], labels % 2)
    with pytest.raises(DataError, match="class '2' is in train/ only"):
        cf.load_data(tmp_path / "own", "test")
    write_folder(tmp_path / "one" / "train", images[:30], labels % 2)
    write_folder(tmp_path / "one" / "test", images[:30], labels * 0)
    with pytest.raises(DataError, match="train/ has classes and test/ has none, which takes two subfolders or more"):
        cf.load_data(tmp_path / "one", "test")
    write_folder(tmp_path / "gray" / "train", images[:30])
    Image.new("RGB", (28, 28), (1, 2, 3)).save(tmp_path / "gray" / "train" / "red.png")
    write_folder(tmp_path / "gray" / "test", images[:30])
    with pytest.raises(DataError, match="all images in test/ are gray"):
        cf.load_data(tmp_path / "gray", "test")


def test_a_conditional_model_needs_labels_of_the_test_images_too(tmp_path: Path, real, command) -> None:
    images, labels = real[0], np.arange(60) % 2
    np.savez(tmp_path / "own.npz", x_train=images[:60], y_train=labels, x_test=images[60:90])
    done = command("train", "cvae", "--data", tmp_path / "own.npz", "--batch-size", 20, "--out", tmp_path / "run")
    assert done.code == 2 and not (tmp_path / "run").exists()
    assert "own.npz have no labels, which the test loss of cvae needs: give them labels, or leave them out" in done.err
    cf.train("vae", tmp_path / "own.npz", out=tmp_path / "other", epochs=1, batch_size=20, quiet=True)


@pytest.mark.parametrize("beside", ["val", "train/../image.png", "other"])
def test_what_looks_like_splits_and_is_not_quite_is_refused(beside: str, tmp_path: Path, real) -> None:
    for split in ("train", "test"):
        write_folder(tmp_path / "own" / split, real[0][:10])
    if beside.endswith(".png"):
        Image.fromarray(real[0][0, 0]).save(tmp_path / "own" / beside)
    else:
        write_folder(tmp_path / "own" / beside, real[0][:10])
    with pytest.raises(DataError, match="looks like splits"):
        cf.load_data(tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "test")
    if beside == "val":
        with pytest.raises(DataError, match="looks like splits, but contains train, val"):
            cf.load_data(tmp_path / "own")


def test_an_npz_file_may_hold_two_splits(tmp_path: Path, real) -> None:
    images, labels = real
    for names in (("x_{}", "y_{}"), ("{}_images", "{}_labels")):
        arrays = {}
        for split, rows in (("train", slice(0, 300)), ("test", slice(300, 400))):
            arrays[names[0].format(split)] = images[rows, 0]
            arrays[names[1].format(split)] = np.minimum(labels[rows], 9 if split == "test" else 7)[:, None]
        np.savez(tmp_path / "own.npz", **arrays)
        train, test = (cf.load_data(tmp_path / "own.npz", split) for split in ("train", "test"))
        assert (len(train), len(test)) == (300, 100) and train.classes == test.classes == tuple(map(str, range(10)))
        assert np.array_equal(test.images, images[300:]) and np.array_equal(test.labels, labels[300:])
        assert test.split == "test" and test.kind == "npz"


def test_the_held_out_part_is_a_choice_that_depends_on_the_number_only() -> None:
    rows = held_out_rows(1000, 0.1)
    assert len(rows["test"]) == 100 and sorted([*rows["train"], *rows["test"]]) == list(range(1000))
    assert np.array_equal(held_out_rows(1000, 0.1)["test"], rows["test"])
    assert rows["test"][:5].tolist() == FIRST, "published scores of held-out parts stand on this choice"


FIRST = [4, 10, 11, 15, 23]


def test_a_held_out_part_of_a_folder_stays_on_the_disk_and_is_what_its_rows_are(home: Path) -> None:
    whole = cf.load_data("pics")
    rows = held_out_rows(200, 0.25)
    for split, images in datasets.load_splits("pics", holdout=0.25).items():
        assert isinstance(images.images, Rows) and is_stored(images.images)
        assert np.array_equal(np.asarray(images.images), whole.images[rows[split]])
        assert np.array_equal(images.images[3:7], whole.images[rows[split]][3:7])
        assert np.array_equal(images.images[5], whole.images[rows[split]][5])
        assert np.array_equal(take(images.images, np.array([4, 1])), whole.images[rows[split]][[4, 1]])
        assert np.array_equal(binarize.fixed(images.images, split), binarize.fixed(whole.images[rows[split]], split))
        in_memory = cf.load_data(np.array(images.images))
        assert images.digest == in_memory.digest and images.shape == (1, 28, 28), "the digest of the part's content"


@pytest.fixture(params=["folder", pytest.param("npz", marks=pytest.mark.full), "array", "dataset"])
def held(request, tmp_path: Path, real) -> tuple[cf.Run, object]:
    """A run with --holdout 0.2, and its images."""
    images, labels = real
    source: object = images
    if request.param == "folder":
        source = write_folder(tmp_path / "own", images, labels)
    elif request.param == "npz":
        source = tmp_path / "own.npz"
        np.savez(source, images=images, labels=labels)
    elif request.param == "dataset":
        source = "mnist5k"
    return cf.train("vae", source, out=tmp_path / "run", epochs=1, holdout=0.2, quiet=True), source


def test_own_images_get_the_whole_measurement_by_holdout(held, tmp_path: Path) -> None:
    """A test loss, a baseline and memorization, none of which there was for own images."""
    run, source = held
    n = 4000 if run.data.kind == "dataset" else 320
    assert run.config.holdout == 0.2 and run.data.n == n and "test_loss" in run.log[-1]
    assert json.loads((run.path / "run.json").read_text())["settings"]["run"]["holdout"] == 0.2
    given = source if isinstance(source, np.ndarray) else None
    score = run.score(given, metrics="fid,near-copies", n=50)
    assert score.receipt["real"]["split"] == "test" and score.receipt["real"]["n"] == n // 4
    assert score.receipt["train"]["digest"] == run.data.digest and score.receipt["floor"]["digest"] == run.data.digest
    fid = next(score[name] for name in score if name.startswith("FID"))
    assert fid.floor is not None and any(name.startswith("Near-copies") for name in score)
    if given is None:
        assert run.likelihood(k=2, n=10).receipt["real"]["split"] == "test"
        by_name = run.score(source, metrics="fid", n=50)
        assert by_name.receipt["real"]["digest"] == score.receipt["real"]["digest"], "named or not, it is its own data"
    with pytest.raises(InputError, match="--holdout 0.2, not 0.1"):
        cf.train("vae", source, out=run.path, resume=True, holdout=0.1, epochs=2, quiet=True)
    again = cf.train("vae", source, out=run.path, resume=True, epochs=2, quiet=True)
    assert again.data.digest == run.data.digest and again.record.finished


def test_a_loaded_set_is_given_again_as_an_array_is(home: Path) -> None:
    """Where its files are is not known: run.json held the path of a folder called `array` where one happened to be."""
    pics, settings = cf.load_data("pics"), {"out": "loaded", "batch_size": 20, "quiet": True}
    run = cf.train("ae", pics, epochs=1, **settings)
    assert (run.data.kind, run.data.path, run.data.digest) == ("array", None, pics.digest)
    with pytest.raises(DataError, match="was trained on an array"):
        run.score(n=20, metrics=["fid"])
    assert run.score(pics, n=20, metrics=["fid"], detector="fashion-cnn")["FID[fashion-cnn]"].value > 0
    assert cf.train("ae", pics, epochs=2, resume=True, **settings).log[-1]["epoch"] == 2


def test_a_runs_own_images_as_a_loaded_set_are_brought_to_a_size(home: Path) -> None:
    """They have no files to be read again from."""
    score = cf.load("run").score(cf.load_data("pics"), size=14, n=20, metrics=["fid"], detector="fashion-cnn")
    assert score.receipt["real"]["form"]["compared"]["size"] == [14, 14]


def test_an_array_with_labels_is_given_again_with_its_labels(tmp_path: Path, real) -> None:
    images, labels = real
    run = cf.train("cvae", images, labels=labels, out=tmp_path / "run", epochs=1, holdout=0.2, quiet=True)
    with pytest.raises(InputError, match="which a run does not store"):
        run.score(**QUICK)
    score = run.score(cf.load_data(images, labels=labels), metrics="fid", n=50)
    assert score.receipt["real"]["split"] == "test" and score.receipt["floor"]["digest"] == run.data.digest


def test_other_real_images_than_a_runs_own_have_no_memorization(home: Path) -> None:
    run = cf.load("run")
    other = cf.load_data("mnist5k").images[1:400:2]
    score = run.score(other, metrics="fid", n=50)
    assert score.receipt["train"] is None and score.receipt["real"]["n"] == len(other)


def test_seeds_compare_on_the_same_split(tmp_path: Path, real) -> None:
    runs = [
        cf.train("vae", real[0], out=tmp_path / f"s{seed}", seed=seed, epochs=1, holdout=0.2, quiet=True)
        for seed in (0, 1)
    ]
    assert runs[0].data.digest == runs[1].data.digest


def test_training_on_a_held_out_folder_is_training_on_that_part(home: Path) -> None:
    """Bit for bit the run on the part as an array, though the folder's images are read as the steps go."""
    part = np.asarray(datasets.load("pics", holdout=0.25).images)
    by_rows = cf.train("vae", "pics", out="by-rows", epochs=2, batch_size=50, holdout=0.25, quiet=True)
    plain = cf.train("vae", part, out="plain", epochs=2, batch_size=50, quiet=True)
    assert by_rows.weights_sha256 == plain.weights_sha256


def test_a_run_on_split_folders_is_scored_against_its_test_folder(tmp_path: Path, real, command) -> None:
    images, labels = real
    write_folder(tmp_path / "own" / "train", images[:300], labels[:300] % 2)
    write_folder(tmp_path / "own" / "test", images[300:], labels[300:] % 2)
    run = cf.train("cvae", "own", out="run", epochs=1, quiet=True)
    assert run.data.n == 300 and run.data.classes == ("0", "1") and "test_loss" in run.log[-1]
    score = run.score(metrics="fid,near-copies", n=50)
    assert score.receipt["real"]["split"] == "test" and score.receipt["train"]["n"] == 300
    test, train, _ = judge.real_images(ScoreConfig(), run.record)  # as cas takes them, too
    assert train is not None and (test.split, train.split) == ("test", "train")
    by_split = command("score", "run", "--real", "own:train", "--json", *ASKED)
    assert json.loads(by_split.out)["receipt"]["real"]["split"] == "train"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "mnist5k", "--holdout", 1], "--holdout is 1"),
        (["--data", "mnist5k", "--holdout", "nan"], "--holdout is nan"),
        (["--data", "mnist", "--holdout", 0.1], "mnist already has a test split"),
        (["--data", "few.npz", "--holdout", 0.01], "leaves a split empty"),
    ],
)
def test_a_holdout_that_cannot_be(words, says: str, command, tmp_path: Path) -> None:
    np.savez("few.npz", images=np.zeros((12, 8, 8), np.uint8))
    refused(command("train", "vae", *words, "--out", "new"), says)
    assert not os.path.exists("new")


def test_a_folder_of_runs_is_named_before_the_real_images_are_missed(home: Path, command) -> None:
    refused(command("score", "."), "holds the run", "run")
    refused(command("score", "run/samples"), "sample grids of the run")
    refused(command("score", "pics"), "--real is missing")
    refused(command("score", "pics", "--real", "pics", "--metrics", "fid, kidd"), "did you mean 'kid'")
