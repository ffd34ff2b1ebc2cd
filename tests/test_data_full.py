"""All data sets, really fetched (some 180 MB), against figures that others have published: `pytest -m full`."""

import hashlib

import numpy as np
import pytest

from counterfeit import data

pytestmark = pytest.mark.full


FIRST_LABELS = {
    ("mnist", "train"): [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    ("mnist", "test"): [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
    ("fashion-mnist", "train"): [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
    ("fashion-mnist", "test"): [9, 2, 1, 1, 6, 1, 4, 6, 5, 7],
    ("cifar10", "train"): [6, 9, 9, 4, 1, 1, 2, 7, 8, 3],
    ("cifar10", "test"): [3, 8, 8, 0, 6, 6, 1, 6, 3, 1],
    ("mnist5k", "train"): [0] * 10,
    ("stacked-mnist", "train"): [697, 996, 315, 785, 530, 836, 284, 8, 235, 440],  # ours: papers draw anew
    ("stacked-mnist", "test"): [220, 480, 154, 902, 337, 337, 234, 10, 328, 552],
}


@pytest.mark.parametrize(("name", "split"), FIRST_LABELS)
def test_form(name, split):
    loaded, entry = data.load(name, split), data.DATASETS[name]
    assert loaded.images.shape == (entry.counts[split], *entry.shape)
    assert loaded.images.dtype == np.uint8 and loaded.images.flags.c_contiguous
    assert loaded.labels.dtype == np.int64 and loaded.labels.shape == (entry.counts[split],)
    assert loaded.classes == entry.classes
    assert loaded.labels[:10].tolist() == FIRST_LABELS[name, split]
    if not name.endswith("mnist") or name == "fashion-mnist":  # the others' classes differ in number
        assert np.bincount(loaded.labels).tolist() == [entry.counts[split] // 10] * 10


def test_cifar10():
    train, test = data.load("cifar10"), data.load("cifar10", "test")
    as_stored = {split.split: split.images.transpose(0, 2, 3, 1).tobytes() for split in (train, test)}
    assert {split: hashlib.sha256(content).hexdigest() for split, content in as_stored.items()} == {
        "train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "test": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    }
    assert train.images[0, :, 0, 0].tolist() == [59, 62, 63] and train.classes[train.labels[0]] == "frog"
    assert test.images[0, :, 0, 0].tolist() == [158, 112, 49] and test.classes[test.labels[0]] == "cat"
    assert train.images.mean(axis=(0, 2, 3)) == pytest.approx([125.307, 122.950, 113.865], abs=5e-4)


def test_fashion_mnist():
    train = data.load("fashion-mnist")
    assert train.images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert train.images.std() / 255 == pytest.approx(0.3530, abs=5e-5)
    assert train.classes[train.labels[0]] == "ankle boot"
