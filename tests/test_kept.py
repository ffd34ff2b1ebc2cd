"""What is computed once and kept: nothing else is ever taken for it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.data import cache_dir, walk
from counterfeit.data.cache import sealed
from counterfeit.scoring import kept as module
from counterfeit.scoring.kept import ABOUT, kept, key_of
from folder_cases import bitmaps

ARRAYS = {
    "features": np.random.default_rng(0).random((50, 8)).astype(np.float32),
    "probabilities": np.zeros((0, 0), np.float32),
    "value": np.array(3.5),
}
KEY = "0" * 32


def get(made: list[str], key: str | None = KEY, names: tuple[str, ...] = tuple(ARRAYS)):
    def make():
        made.append("made")
        return ARRAYS

    return kept("features", key, names, "features of a test", make)


def stored(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def test_what_is_kept_is_read_as_it_was(cache, capsys):
    made: list[str] = []
    first, second = get(made), get(made)
    assert made == ["made"] and capsys.readouterr().err == ""
    for name, array in ARRAYS.items():
        for found in (first[name], second[name]):
            assert np.array_equal(found, array) and (found.dtype, found.shape) == (array.dtype, array.shape)
    assert set(second) == set(ARRAYS)
    get(made, key=None)
    get(made, key=None)
    assert len(made) == 3, "what has no key is made every time"


def replaced(path: Path, **arrays: np.ndarray) -> None:
    np.savez(path, **{**stored(path), **arrays})


def described_anew(path: Path, **arrays: np.ndarray) -> None:
    """Another program that writes the form of the file, under another key."""
    whole = {**ARRAYS, **arrays}
    np.savez(path, **whole, **{ABOUT: np.array(sealed({"key": "1" * 32, "arrays": module._described(whole)}))})


FEATURES = ARRAYS["features"]
DAMAGES = {
    "fewer rows": lambda path: replaced(path, features=FEATURES[:40]),
    "shifted rows": lambda path: replaced(path, features=np.roll(FEATURES, 1, axis=0)),
    "float64": lambda path: replaced(path, features=FEATURES.astype(np.float64)),
    "other bytes order": lambda path: replaced(path, features=FEATURES.astype(">f4")),
    "integers of the same bytes": lambda path: replaced(path, features=FEATURES.view(np.int32)),
    "another shape of the same bytes": lambda path: replaced(path, features=FEATURES.reshape(100, 4)),
    "NaN": lambda path: replaced(path, features=np.where(FEATURES > 0.5, np.float32("nan"), FEATURES)),
    "a value": lambda path: replaced(path, value=np.array(3.6)),
    "one array more": lambda path: replaced(path, other=np.zeros(3)),
    "one array less": lambda path: np.savez(path, **{n: a for n, a in stored(path).items() if n != "value"}),
    "as version 0.1 wrote it": lambda path: np.savez(path, **ARRAYS),
    "nothing": lambda path: np.savez(path),
    "about of another type": lambda path: replaced(path, about=np.arange(3)),
    "another about": lambda path: replaced(path, about=np.array(json.dumps({"key": KEY}))),
    "a file of another key": described_anew,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:300]),
    "empty": lambda path: path.write_bytes(b""),
    "a single array": lambda path: np.save(path.with_suffix(".npy"), FEATURES) or path.with_suffix(".npy").rename(path),
    "pickled": lambda path: replaced(path, features=np.array([{}], object)),
    "text": lambda path: path.write_text("hello"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_as_it_was_stored_is_named_and_made_again(cache, damage, capsys):
    made: list[str] = []
    get(made)
    path = cache / "features" / f"{KEY}.npz"
    DAMAGES[damage](path)
    found = get(made)
    said = capsys.readouterr().err
    assert len(made) == 2 and f"{path} is damaged (" in said and "creating it again" in said and said.count("\n") == 1
    assert all(np.array_equal(found[name], array) for name, array in ARRAYS.items())
    get(made)
    assert len(made) == 2 and capsys.readouterr().err == ""


def test_the_key_knows_the_libraries_that_compute(monkeypatch):
    keys = {key_of(["a"])}
    for name in module.VERSIONS:
        with monkeypatch.context() as patch:
            patch.setitem(module.VERSIONS, name, "another")
            keys.add(key_of(["a"]))
    assert set(module.VERSIONS) == {"torch", "numpy", "pillow"} and len(keys) == 4


def test_a_score_does_not_use_features_that_were_changed(digits, tmp_path, cache, capsys):
    images, _ = digits
    real = tmp_path / "real.npz"
    np.savez(real, images=images[:400])
    values, said = [], []
    for damage in (None, None, lambda a: a[:300], lambda a: np.roll(a, 1, axis=1), lambda a: a.astype(np.float64) * 2):
        if damage:
            (path,) = (cache_dir() / "features").glob("*.npz")
            replaced(path, features=damage(stored(path)["features"]))
        capsys.readouterr()
        values.append(cf.score(images[400:800], real, detector="mnist-cnn", metrics=["fid"])["FID[mnist-cnn]"].value)
        said.append("is damaged" in capsys.readouterr().err)
    assert values == [values[0]] * 5 and said == [False, False, True, True, True]


def test_a_folder_that_took_the_place_of_another_is_scored_as_what_it_is(digits, tmp_path, cache, monkeypatch):
    """BMP files of one length, names and times: digits, and noise that is brought to their place."""
    monkeypatch.setattr(walk, "TICK", -(10**18))  # as if the files were old, so that their stamps are trusted
    images, _ = digits
    np.savez(tmp_path / "real.npz", images=images[:400].repeat(3, axis=1))
    noise = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 3), np.uint8)
    parts = {"digits": images[400:700].transpose(0, 2, 3, 1).repeat(3, axis=3), "noise": noise}

    def fid(source: object) -> float:
        return cf.score(source, tmp_path / "real.npz", detector="cifar10-cnn", metrics=["fid"])[
            "FID[cifar10-cnn]"
        ].value

    for name, part in parts.items():
        bitmaps(tmp_path / name, part)
    right = {name: fid(part) for name, part in parts.items()}
    found = {name: fid(tmp_path / name) for name in parts}
    (tmp_path / "digits").rename(tmp_path / "away")
    os.rename(tmp_path / "noise", tmp_path / "digits")
    found["noise in its place"] = fid(tmp_path / "digits")
    # A folder's order is 0, 1, 10, 100, …: sums are rounded in another one.
    assert found == pytest.approx({**right, "noise in its place": right["noise"]}, rel=1e-6)
    assert right["noise"] > 2 * right["digits"]
