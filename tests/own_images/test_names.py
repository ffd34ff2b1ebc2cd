"""A name is not a thing: own photos beside a data set of their name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from own_images_cases import write_folder

import counterfeit as cf
from counterfeit import data as datasets
from counterfeit import detectors


def test_own_photos_in_a_folder_called_as_a_data_set_are_not_that_data_set(home: Path, command) -> None:
    classes = np.arange(200) % 2
    write_folder(Path("mnist5k"), cf.load_data("pics").images, classes)
    outcome = command("train", "vae", "--data", "./mnist5k", "--epochs", 1)
    assert outcome.code == 0, outcome.err
    assert "./mnist5k: the folder is taken" in outcome.err and "mnist5k" in outcome.out
    run = cf.load("runs/vae-mnist5k-folder-s0")
    assert (run.data.kind, run.data.name, run.data.n) == ("folder", "./mnist5k", 200)
    scored = command("score", run.path, "-n", 50, "--json")
    assert "it was trained on" not in scored.err
    printed = json.loads(scored.out)
    assert printed["receipt"]["detector"]["name"] == "fashion-cnn" and printed["receipt"]["real"]["name"] == "./mnist5k"
    conditional = cf.train("cvae", "./mnist5k", out="c", epochs=1, batch_size=50, quiet=True)
    for real in ("./mnist5k", "mnist5k"):  # its classes are none of the detector's, whichever images it is held against
        score = conditional.score(real, detector="mnist-cnn", n=50)
        assert "IS[mnist-cnn]" in score and not [name for name in score if name.startswith("Label-accuracy")]
    with pytest.raises(cf.InputError, match="the classes of c, 0, 1, which mnist-cnn does not distinguish"):
        conditional.score("mnist5k", metrics="fid,label-accuracy", n=50)


def test_where_a_folder_and_a_data_set_share_a_name_a_line_says_which_was_taken(home: Path, capsys) -> None:
    write_folder(Path("mnist5k"), cf.load_data("pics").images[:20])
    assert cf.load_data("mnist5k").kind == "dataset"
    assert "mnist5k: the data set is taken; the folder of that name here is ./mnist5k" in capsys.readouterr().err
    assert cf.load_data(Path("mnist5k")).kind == "folder", "a Path is never a name"
    assert "the folder is taken; the data set of that name is mnist5k" in capsys.readouterr().err


def test_a_path_object_is_never_a_name_wherever_it_is_given(home: Path, command) -> None:
    own = cf.load_data("pics").images[:60]
    write_folder(Path("mnist5k"), own)
    score = cf.score(own, Path("mnist5k"), metrics=["fid"], n=60)
    assert (score.receipt["real"]["name"], score.receipt["real"]["n"]) == ("./mnist5k", 60)
    run = cf.train("ae", Path("mnist5k"), out="r", epochs=1, batch_size=20, quiet=True)
    assert (run.data.kind, run.data.name, run.data.n) == ("folder", "./mnist5k", 60)
    assert cf.train("ae", Path("pics"), out="s", epochs=1, quiet=True).data.name == "pics"


def test_every_source_has_its_kind_and_only_a_data_set_its_name(home: Path, real) -> None:
    np.savez("mnist.npz", images=real[0])
    write_folder(Path("cifar10"), real[0][:20])
    kinds = {
        "dataset": cf.load_data("mnist5k"),
        "folder": cf.load_data("./cifar10"),
        "npz": cf.load_data("mnist.npz"),
        "array": cf.load_data(real[0]),
    }
    assert {kind: images.kind for kind, images in kinds.items()} == {kind: kind for kind in kinds}
    assert [images.dataset for images in kinds.values()] == ["mnist5k", "", "", ""]
    assert detectors.auto(kinds["folder"].dataset, (1, 28, 28))[0] != "mnist-cnn"


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ("mnist", "mnist"),
        ("./mnist", "mnist-folder"),
        ("my/mnist.npz", "mnist-npz"),
        ("my/photos.v2", "photos.v2"),
        ("array", "array"),
        ("my/array", "array-folder"),
        ("digits.npz", "digits"),
    ],
)
def test_run_folders_are_named_after_the_thing(data: str, label: str) -> None:
    assert datasets.label(data) == label
    assert datasets.label(".") == Path.cwd().name
