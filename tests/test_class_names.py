"""Labels: class names as folders, as what a user types, in files, and in the terms of the real images."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit.data.arrays import MOST_CLASSES
from counterfeit.data.class_names import class_name, folder_names, in_order, numbers
from counterfeit.scoring.cas import in_terms_of
from data_cases import refused

LETTERS = [
    "b",
    "a",
    "A",
    "a/b",
    "..",
    "con",
    "Con.txt",
    "100%",
    "%61",
    "x.",
    "x ",
    " x",
    "猫",
    "é",
    "e\u0301",
    "\t",
    "a:b",
    "AB",
    "ab",
    "aB",
    "Ab",
]


def test_every_class_gets_a_folder_of_its_own_on_every_system_and_back() -> None:
    names = folder_names(LETTERS)
    assert [class_name(name) for name in names] == LETTERS
    assert len({name.casefold() for name in names}) == len(names), "a disk may not tell capitals from small letters"
    assert names[:9] == ["b", "a", "%41", "a%2Fb", "%2E%2E", "%63on", "%43on.txt", "100%25", "%2561"]
    assert not any(set(name) & set('/\\:*?"<>|\t') or name[0] == "." or name[-1] in ". " for name in names)


def test_the_names_of_data_sets_stay_but_for_what_no_folder_can_be_called() -> None:
    assert folder_names(["T-shirt/top", "Ankle boot"]) == ["T-shirt%2Ftop", "Ankle boot"]
    assert folder_names([str(i) for i in range(12)]) == [str(i) for i in range(12)]


@pytest.mark.parametrize(
    ("classes", "says"),
    [([""], "is empty"), (["a", "b", "a"], "'a' is there twice"), (["/" * 90], "more than the 255 bytes")],
)
def test_names_that_no_folder_can_have_are_refused(classes: list[str], says: str) -> None:
    with pytest.raises(cf.InputError, match=says):
        folder_names(classes)


def test_numbers_are_sorted_as_numbers_and_names_by_letter() -> None:
    assert in_order(str(i) for i in (10, 2, 11, 0)) == ["0", "2", "10", "11"]
    assert in_order(["10", "2", "x"]) == ["10", "2", "x"] and in_order(["01", "1", "0"]) == ["0", "01", "1"]


def test_a_name_goes_before_a_number() -> None:
    classes = ("0", "2", "10", "cat")
    assert numbers(classes, "10") == 2 and numbers(classes, "3") == 3 and numbers(classes, 2) == 2
    assert numbers(classes, ["cat", 0, "1"]) == [3, 0, 1] and numbers(classes, np.array(["cat", "2"])) == [3, 1]
    assert numbers(classes, None) is None and numbers(classes, np.arange(2)).tolist() == [0, 1]
    with pytest.raises(cf.InputError, match="no class named 'cats'; did you mean 'cat'"):
        numbers(classes, "cats")
    with pytest.raises(cf.InputError, match="no class named 'x'; known: 0, 2, 10, cat"):
        numbers(classes, "x")


NAMES = ("T-shirt/top", "con", "..")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cf.Run:
    """A cvae after an epoch on noise of three classes with awkward names."""
    home = tmp_path_factory.mktemp("names")
    images = np.random.default_rng(0).integers(0, 256, (130, 1, 28, 28), np.uint8)
    np.savez(home / "named.npz", images=images, labels=np.arange(130) % 3, classes=np.array(NAMES))
    small = {"epochs": 1, "latent": 2, "encoder_width": 8, "decoder_width": 8}
    return cf.train("cvae", home / "named.npz", out=home / "run", quiet=True, **small)


def test_samples_can_be_asked_for_by_name(run: cf.Run, command, tmp_path: Path) -> None:
    assert run.data.classes == NAMES
    assert np.array_equal(run.sample(5, labels="con"), run.sample(5, labels=1))
    assert np.array_equal(run.sample(3, labels=["con", "..", 0]), run.sample(3, labels=[1, 2, 0]))
    with pytest.raises(cf.InputError, match="no class named 'coat'; "):
        run.sample(5, labels="coat")
    for label in ("..", "2"):
        assert command("sample", run.path, "-n", 4, "--label", label, "--out", tmp_path / "x.npz").code == 0
        with np.load(tmp_path / "x.npz") as file:
            assert (file["labels"] == 2).all() and tuple(file["classes"]) == NAMES
    grid = command("sample", run.path, "-n", 4, "--label", "T-shirt/top")
    assert grid.code == 0 and Path(grid.out.strip()).name == "sample-n4-labelT-shirt%2Ftop-seed0.png"
    wrong = command("sample", run.path, "--label", "T-shirt")
    assert wrong.code == 2 and "no class named 'T-shirt'; did you mean 'T-shirt/top'?" in wrong.err


def test_folders_and_files_of_samples_know_the_classes(run: cf.Run, command, tmp_path: Path) -> None:
    for out in ("folder", "file.npz"):
        assert command("sample", run.path, "-n", 9, "--out", tmp_path / out).code == 0
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["%2E%2E", "%63on", "T-shirt%2Ftop"]
    folder, file = cf.load_data(tmp_path / "folder"), cf.load_data(tmp_path / "file.npz")
    assert file.classes == NAMES and file.labels.tolist() == [0, 1, 2] * 3
    for images in (folder, file):
        assert set(in_terms_of(NAMES, images.labels, images.classes, "x")) == {0, 1, 2}
    first = Path(tmp_path / "folder" / "T-shirt%2Ftop" / "0.png")
    assert first.exists(), "image 0 is of label 0"


def test_a_folder_of_twelve_numbered_classes_is_taken_for_what_it_is(tmp_path: Path, command) -> None:
    """The real folder, a run trained on it, and the folders and files of its samples: 2 is 2, and not 10."""
    real = tmp_path / "real"
    for c in range(12):
        (real / str(c)).mkdir(parents=True)
        for i in range(11):
            Image.fromarray(np.full((8, 8), 20 * c + i, np.uint8)).save(real / str(c) / f"{i}.png")
    images = cf.load_data(real)
    assert images.classes == tuple(str(c) for c in range(12))
    assert np.array_equal(images.images[:, 0, 0, 0] // 20, images.labels)
    small = {"epochs": 1, "latent": 2, "encoder_width": 8, "decoder_width": 8, "batch_size": 66}
    run = cf.train("cvae", real, out=tmp_path / "run", quiet=True, **small)
    assert np.array_equal(run.sample(4, labels="10"), run.sample(4, labels=10))
    assert command("sample", run.path, "-n", 24, "--out", tmp_path / "fakes").code == 0
    fakes = cf.load_data(tmp_path / "fakes")
    for path in (tmp_path / "fakes").rglob("*.png"):
        assert int(path.stem) % 12 == int(path.parent.name), "sample i is of class i % 12"
    assert fakes.classes == images.classes


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (np.array(["a", "b"]), "has the label 2 and names for 2 classes"),
        (np.array(["a", "b", "a"]), "the name 'a' 2 times"),
        (np.array(["a", "", "c"]), "an empty name"),
        (np.array([1, 2, 3]), "of int64 (3,)"),
        (np.array([["a", "b", "c"]]), "of <U1 (1, 3)"),
        (np.array(["a", "b", "c" * 256]), "each of up to 255 characters"),
        (np.array(["a", "b", "c"], object), "'classes' cannot be read: it holds pickled objects"),
        (np.array([], str), "of <U1 (0,)"),
    ],
)
def test_names_in_a_file_that_cannot_be(classes: np.ndarray, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((3, 8, 8), np.uint8), labels=np.arange(3), classes=classes)
    refused(lambda: cf.load_data(path), "x.npz", says)


def test_a_header_that_promises_too_much_is_refused_before_room_is_made_for_it(tmp_path: Path) -> None:
    """65,537 names in 41 bytes of file: a header is believed by nobody."""
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((3, 8, 8), np.uint8), labels=np.arange(3))
    for shape, width in (((MOST_CLASSES + 1,), 1), ((3,), 1 << 28)):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": f"<U{width}", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(tmp_path / "y.npz", "w") as made, zipfile.ZipFile(path) as whole:
            for name in whole.namelist():
                made.writestr(name, whole.read(name))
            made.writestr("classes.npy", header.getvalue())
        refused(lambda: cf.load_data(tmp_path / "y.npz"), "y.npz: its array 'classes' is declared as")
