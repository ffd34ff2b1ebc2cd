"""Named data sets that are only known by their published files: stand-ins of the same form, read the same way."""

import gzip
import hashlib
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest

from counterfeit import data
from counterfeit.data import emnist, idx, kmnist, mat5, named, stacked_mnist, svhn
from counterfeit.data.cache import sealed
from data_cases import refused

rng = np.random.default_rng(0)


def idx_of(array):
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


STAND_INS = {
    name: rng.integers(0, 256, (12, 28, 28), np.uint8) if "images" in name else rng.integers(0, 10, 12, np.uint8)
    for name in idx.NAMES
}


@pytest.fixture
def downloads(monkeypatch):
    """Instead of downloads, the stand-ins; a list of what was asked for: name and SHA-256."""
    asked = []

    def fake(url, path, *, size=None, sha256=None):
        asked.append((url, sha256))
        path.write_bytes(gzip.compress(idx_of(STAND_INS[path.name.removesuffix(".gz")])))

    monkeypatch.setattr(idx, "download", fake)
    return asked


def test_kmnist_is_read_from_its_published_files(cache, downloads):
    train, test = data.load("kmnist"), data.load("kmnist", "test")
    assert np.array_equal(train.images[:, 0], STAND_INS["train-images-idx3-ubyte"])
    assert np.array_equal(test.labels, STAND_INS["t10k-labels-idx1-ubyte"])
    assert train.classes == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo") and train.kind == "dataset"
    base = "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"
    assert downloads == [(f"{base}{name}.gz", sha) for name, sha in zip(idx.NAMES, kmnist.PACKED, strict=True)]
    assert len(set(kmnist.PACKED)) == 4 and all(len(sha) == 64 for sha in kmnist.PACKED)


def test_files_without_a_digest_in_the_code_are_held_against_that_of_their_making(cache, downloads, capsys):
    first = data.load("kmnist")
    path, record = cache / "kmnist" / "train-labels-idx1-ubyte", cache / "kmnist" / named.RECORD
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert data.load("kmnist").digest == first.digest and len(downloads) == 8
    assert "is damaged: SHA-256" in capsys.readouterr().err
    for content in ("{}", sealed({}), record.read_text().replace(path.name, "another"), None):
        record.unlink() if content is None else record.write_text(content)
        assert data.load("kmnist").digest == first.digest
    assert len(downloads) == 24


def test_emnist_from_the_archive_of_nist(tmp_path):
    images = {split: rng.integers(0, 256, (5, 28, 28), np.uint8) for split in ("train", "test")}
    labels = {split: rng.integers(0, 47, 5, np.uint8) for split in images}
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for split in images:
            lying = np.ascontiguousarray(images[split].transpose(0, 2, 1))
            archive.writestr(f"gzip/emnist-balanced-{split}-images-idx3-ubyte.gz", gzip.compress(idx_of(lying)))
            archive.writestr(f"gzip/emnist-balanced-{split}-labels-idx1-ubyte.gz", gzip.compress(idx_of(labels[split])))
        archive.writestr("gzip/emnist-letters-train-images-idx3-ubyte.gz", b"")
    emnist.decode_zip(tmp_path / "gzip.zip", tmp_path)
    for split, start in (("train", "train"), ("test", "t10k")):
        assert (tmp_path / f"{start}-images-idx3-ubyte").read_bytes() == images[split].tobytes()
        assert (tmp_path / f"{start}-labels-idx1-ubyte").read_bytes() == labels[split].tobytes()
    assert len(emnist.CLASSES) == len(set(emnist.CLASSES)) == 47 and emnist.CLASSES[36] == "a"


# --- MATLAB


@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_from_a_file_that_scipy_writes(tmp_path, compressed):
    scipy_io = pytest.importorskip("scipy.io")
    images, labels = (
        rng.integers(0, 256, (32, 32, 3, 11), np.uint8),
        np.arange(10, 21, dtype=np.uint8)[:, None] % 10 + 1,
    )
    path = tmp_path / "train_32x32.mat"
    scipy_io.savemat(path, {"X": images, "y": labels, "more": np.eye(3)}, do_compression=compressed)
    found = mat5.read_mat(path)
    assert set(found) == {"X", "y"}
    assert np.array_equal(found["X"], images) and np.array_equal(found["y"], labels)
    svhn.decode_mat(path, "train", tmp_path)
    assert (tmp_path / "train-images.bin").read_bytes() == images.transpose(3, 0, 1, 2).tobytes()
    assert list((tmp_path / "train-labels.bin").read_bytes()) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    scipy_io.savemat(path, {"X": images[:16], "y": labels})
    refused(lambda: svhn.decode_mat(path, "train", tmp_path), path, "does not hold images X and labels y")


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def mat(shape=(2, 2), values=bytes(4), flags=9):
    parts = element(6, struct.pack("<II", flags, 0)), element(5, struct.pack(f"<{len(shape)}i", *shape))
    inside = b"".join(parts) + element(1, b"X") + element(2, values)
    return bytes(124) + b"\0\1IM" + element(14, inside)


def test_files_that_are_no_matlab(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    path.write_bytes(mat())
    assert mat5.read_mat(path)["X"].tolist() == [[0, 0], [0, 0]]
    whole = mat()
    for content, fault in {
        b"": "it has not the header of version 5",
        b"\x89HDF\r\n" + bytes(200): "it has not the header of version 5",
        mat((3, 2)): "an array of 4 bytes is declared as (3, 2)",
        mat((-2, -2)): "is declared as (-2, -2)",
        mat((1,) * 40, bytes(1)): "is declared as (1, 1, 1, 1, 1, 1, 1, 1)",
        whole[:-9]: "it ends within an element",
        whole[:128] + struct.pack("<II", 14, 1 << 31): "it has an element of 2,147,483,648 bytes",
        whole[:128] + element(15, b"no zlib"): "Error -3",
        whole[:128] + element(14, whole[136:150]): "cannot be read as a MATLAB file",
    }.items():
        path.write_bytes(content)
        refused(lambda: mat5.read_mat(path), "a.mat", fault)
    monkeypatch.setattr(mat5, "LIMIT", 1000)
    path.write_bytes(whole[:128] + element(15, zlib.compress(bytes(1001))))
    refused(lambda: mat5.read_mat(path), "an array unpacks to more than 1,000 bytes")


# --- stacked MNIST


def test_stacked_mnist_is_made_of_three_digits():
    digits = data.load("mnist5k")
    rows = stacked_mnist.draws("train", 5000, 300)
    images, numbers = stacked_mnist.stack(digits.images, digits.labels, rows)
    assert images.shape == (300, 3, 28, 28) and images.dtype == np.uint8
    for image, number, of in zip(images, numbers, rows, strict=True):
        assert f"{number:03d}" == "".join(digits.classes[digits.labels[row]] for row in of)
        assert all(np.array_equal(image[c], digits.images[of[c], 0]) for c in range(3))


def test_its_draws_are_the_same_everywhere_and_of_all_modes():
    train, test = (stacked_mnist.draws(split, n, count) for split, n, count in DRAWN)
    found = [hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16] for rows in (train, test)]
    assert found == ["d614d068c4f34dd5", "51c8e4cc4f9a6b4b"]
    labels = data.load("mnist").labels[train] @ np.array([100, 10, 1])
    assert np.bincount(labels, minlength=1000).min() > 60  # of 128 on average


DRAWN = (("train", 60_000, 128_000), ("test", 10_000, 26_000))


def test_stacked_mnist_is_made_once_of_mnist_without_a_source_of_its_own(cache, monkeypatch, tmp_path):
    """On 30 and 20 images, of the digits of mnist5k."""
    counts = {"train": 30, "test": 20}
    small = {split: stacked_mnist._files(split, n) for split, n in counts.items()}
    entry = replace(data.DATASETS["stacked-mnist"], files=small)
    digits = data.arrays.from_array(rng.integers(0, 256, (50, 28, 28), np.uint8), np.arange(50) % 10)
    monkeypatch.setattr(stacked_mnist, "COUNTS", counts)
    monkeypatch.setattr(stacked_mnist, "load_named", lambda dataset, split: digits)
    monkeypatch.setenv("COUNTERFEIT_SOURCES", "registry")
    train, test = (named.load_named(entry, split) for split in counts)
    assert (train.shape, len(train), len(test), len(train.classes)) == ((3, 28, 28), 30, 20, 1000)
    expected, numbers = stacked_mnist.stack(digits.images, digits.labels, stacked_mnist.draws("train", 50, 30))
    assert np.array_equal(train.images, expected) and np.array_equal(train.labels, numbers)
    assert train.classes[int(numbers[0])] == f"{numbers[0]:03d}"
    monkeypatch.setattr(stacked_mnist, "load_named", None)
    assert named.load_named(entry, "train").digest == train.digest
