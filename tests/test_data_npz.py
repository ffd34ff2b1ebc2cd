"""Files .npz: which arrays are the images and labels; and those of strangers, refused before room is made for them."""

import os
import threading

import numpy as np
import pytest

import counterfeit as cf
from bomb_cases import IMAGES, NPZ
from counterfeit import data
from data_cases import refused
from test_data_folder import peak

LABELS = np.array([0, 1, 1, 2])
OTHERS = IMAGES ^ 255


@pytest.mark.parametrize("name", NPZ)
def test_files_of_strangers(tmp_path, name):
    make, fault = NPZ[name]
    path = tmp_path / "strange.npz"
    path.write_bytes(make())
    most = peak(lambda: refused(lambda: data.load(path), path, fault))
    # What parsing a header takes, among it one of 300 KB that is refused by its length; a bomb would be 10^9 and more.
    assert most < 8 << 20


def test_pipes_are_not_waited_for(tmp_path, command):
    before = set(threading.enumerate())  # other tests of this process may have left idle ones of their libraries
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "device.npz").symlink_to("/dev/zero")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    for name, fault in (("pipe.npz", "pipe"), ("device.npz", "device"), ("loop.npz", "no folder or file")):
        refused(lambda name=name: data.load(tmp_path / name), name, fault)
        refused(lambda name=name: data.splits(tmp_path / name), name, fault)
    outcome = command("train", "vae", "--data", tmp_path / "pipe.npz", "--out", tmp_path / "run")
    assert outcome.code == 2 and "pipe" in outcome.err and not (tmp_path / "run").exists()
    assert set(threading.enumerate()) <= before


def test_more_than_the_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=IMAGES)
    monkeypatch.setattr("counterfeit.system.memory.available", lambda: IMAGES.nbytes - 1)
    refused(lambda: data.load(tmp_path / "a.npz"), "of memory, and there is")


def test_what_packs_well_is_no_bomb(tmp_path):
    """Black images, 1,000 times smaller when packed, of a size that does no harm."""
    np.savez_compressed(tmp_path / "black.npz", images=np.zeros((2000, 64, 64), np.uint8))
    assert len(data.load(tmp_path / "black.npz")) == 2000


# Names of arrays -> the images and labels of each split, and words of the line that says what was taken.
TAKEN = {
    "usual": ({"images": IMAGES, "labels": LABELS}, {"train": LABELS}, ""),
    "savez without names": ({"arr_0": IMAGES}, {"train": None}, "'arr_0' is taken for the images, no labels"),
    "savez of two": ({"arr_0": IMAGES, "arr_1": LABELS}, {"train": LABELS}, "'arr_1' for their labels"),
    "a training split only": ({"x_train": IMAGES, "y_train": LABELS}, {"train": LABELS}, ""),
    "X and y": ({"X": IMAGES, "y": LABELS[:, None]}, {"train": LABELS}, "'X' is taken for the images, 'y' for"),
    "two that may be labels": (
        {"faces": IMAGES, "age": LABELS, "id": LABELS},
        {"train": None},
        "no labels (of age and id none is called labels)",
    ),
    "capitals": (
        {"X_train": IMAGES, "Y_train": LABELS, "X_test": IMAGES, "Y_test": LABELS},
        {"train": LABELS, "test": LABELS},
        "",
    ),
    "a test split beside": (
        {"images": IMAGES, "labels": LABELS, "test_images": IMAGES, "test_labels": LABELS},
        {"train": LABELS, "test": LABELS},
        "",
    ),
    "split at the end": ({"images_train": IMAGES, "images_test": IMAGES}, {"train": None, "test": None}, ""),
    "a third split": (
        {"train_images": IMAGES, "val_images": OTHERS, "test_images": IMAGES},
        {"train": None, "test": None},
        "its images val_images are not used, only test_images and train_images",
    ),
    "other images beside": (
        {"images": IMAGES, "masks": OTHERS, "notes": np.array("of the lab")},
        {"train": None},
        "its images masks are not used, only images",
    ),
    "a test split only": ({"x_test": IMAGES}, {"train": None}, "'x_test' is taken for the images"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_which_arrays_are_taken(tmp_path, name, capsys):
    arrays, expected, line = TAKEN[name]
    np.savez(tmp_path / "mine.npz", **arrays)
    found = data.load_splits(tmp_path / "mine.npz")
    assert list(found) == list(expected) == list(data.splits(tmp_path / "mine.npz"))
    for split, labels in expected.items():
        assert found[split].split == split and np.array_equal(found[split].images[:, 0], IMAGES)
        assert (None if labels is None else labels.tolist()) == (
            None if found[split].labels is None else found[split].labels.tolist()
        )
    said = capsys.readouterr().err
    assert said.count("\n") == bool(line) and line in said  # one line, though the file was opened several times


def test_splits_of_words_or_other_lengths_are_refused(tmp_path):
    both = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}
    for labels, fault in ((np.array(list("abcd")), "whole numbers"), (LABELS[:2], "(2,)"), (LABELS - 9, "-9")):
        np.savez(tmp_path / "mine.npz", **both, y_test=labels)
        refused(lambda: data.load(tmp_path / "mine.npz", "test"), "mine.npz", fault)


def test_sparse_labels():
    many = np.zeros((300, 8, 8), np.uint8)
    refused(lambda: data.load(IMAGES, labels=[0, 65535, 0, 0]), "65,535", "only 2 occur", "np.unique")
    assert len(data.load(IMAGES, labels=[0, 999, 0, 0]).classes) == 1000
    assert len(data.load(many, labels=np.arange(300) * 10).classes) == 2991  # a tenth of 2,991 occurs


def test_a_class_set_with_gaps_can_be_named(tmp_path):
    names = np.array([f"n{i}" for i in range(5000)])
    np.savez(tmp_path / "mine.npz", images=IMAGES, labels=[0, 4999, 2, 2], classes=names)
    assert len(cf.load_data(tmp_path / "mine.npz").classes) == 5000
