"""WebDataset's archives, and data sets in several files."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfeit import data
from counterfeit.data import shards
from counterfeit.errors import DataError
from folder_cases import put, refused

LABELS = [3, 0, 7, 3, 0, 7, 10, 0]
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)


def encoded(image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def shard(path: Path, files: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(rows, label=lambda i: {"cls": str(LABELS[i])}) -> dict[str, bytes | str]:
    return {
        f"{i:06d}.{ending}": content
        for i in rows
        for ending, content in ({"png": encoded(IMAGES[i])} | label(i)).items()
    }


def test_labels_beside_images(root, tmp_path):
    for i, image in enumerate(IMAGES):
        put(root / str(LABELS[i]) / f"{i:06d}.png", Image.fromarray(image))
    folder = data.load(root)
    found = data.load(shard(tmp_path / "a.tar", samples(range(8))))
    assert (found.classes, found.labels.tolist()) == (("0", "3", "7", "10"), [1, 0, 2, 1, 0, 2, 3, 0])
    order = sorted(range(8), key=lambda i: (str(LABELS[i]), i))  # a folder's, by its paths
    assert np.array_equal(np.array(found.images)[order], folder.images) and folder.classes == found.classes
    assert np.array_equal(found.labels[order], folder.labels)
    forms = {
        "label": lambda i: {"json": json.dumps({"label": LABELS[i], "width": 16})},
        "class": lambda i: {"json": json.dumps({"class": str(LABELS[i])}), "txt": "a caption"},
        "both": lambda i: {"cls": f"{LABELS[i]:03d}\n", "json": json.dumps({"label": "another"})},
    }
    for name, form in forms.items():
        again = data.load(shard(tmp_path / f"{name}.tar", samples(range(8), form)))
        assert (again.digest, again.classes) == (found.digest, found.classes)
    for name in ("a.tar.gz", "a.tgz"):  # one temporary file, from which headers and labels are read in turn
        again = data.load(shard(tmp_path / name, samples(range(8))))
        assert (again.digest, again.classes) == (found.digest, found.classes)
    plain = data.load(shard(tmp_path / "plain.tar", samples(range(8), lambda i: {"json": json.dumps({"width": 16})})))
    assert plain.labels is None


def test_shards(tmp_path, cache, monkeypatch, capsys):
    whole = data.load(shard(tmp_path / "a.tar", samples(range(8))))
    home = tmp_path / "shards"
    for k, rows in enumerate(([0, 1, 2], [3, 4], [5, 6, 7])):
        shard(home / f"part-{k:03d}.tar", samples(rows))
    monkeypatch.chdir(home)
    for source in (home, "part-{000..002}.tar", "part-*.tar", "part-00{0,1,2}.tar", str(home / "part-00?.tar")):
        found = data.load(source)
        assert (found.digest, found.classes, found.name) == (whole.digest, whole.classes, str(source))
        assert found.kind == ("folder" if source == home else "archive")
    assert len(data.load("part-{000..001}.tar")) == 5
    refused("part-{000..004}.tar", "there is no ", "part-003.tar, which ", "stands for")
    refused("other-*.tar", "there is no ")
    refused("part-{000..999999}.tar", "stands for more than 100,000 files")
    assert data.label("part-{000..002}.tar") == "part-000-002"
    for k in range(2):
        (home / f"part-00{k}.tar").rename(home / f"train-{k}.tar")
    (home / "part-002.tar").rename(home / "val-0.tar")
    assert data.splits(home) == ("train", "test")
    (home / "nothing.parquet").write_bytes(b"")
    refused(home, "holds shards of two kinds, .parquet and .tar")


def test_braces_are_those_of_a_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for pattern, names in {
        "{8..11}.tar": ["8.tar", "9.tar", "10.tar", "11.tar"],
        "{08..11}.tar": ["08.tar", "09.tar", "10.tar", "11.tar"],
        "{a,b}-{0..1}.tar": ["a-0.tar", "a-1.tar", "b-0.tar", "b-1.tar"],
    }.items():
        for name in names:
            Path(name).write_bytes(b"")
        assert [str(path) for path in shards.expand(pattern)] == names
    Path("odd{0..1}.tar").write_bytes(b"")
    assert not shards.is_pattern("odd{0..1}.tar") and not shards.is_pattern("{0..1}.png")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"000003.cls": None}, "000003.png has no label beside it, such as 000003.cls, and other images have"),
        ({"000003.mask.png": encoded(IMAGES[0])}, "the sample '000003' has several images"),
        ({"000003.cls": "two\nlines"}, "000003.cls holds no label"),
        ({"000003.cls": b"\xff\xfe"}, "000003.cls holds no label"),
        ({"000003.json": "[" * 60_000, "000003.cls": None}, "000003.png has no label"),
        ({"000003.json": r'{"label": "\ud800"}', "000003.cls": None}, "000003.png has no label"),
        ({"000003.cls": "1" * 300}, "000003.png has no label"),
        ({"000003.png": b"no image"}, "a.tar: 000003.png: it is not an image"),
    ],
)
def test_samples_that_cannot_be_used(tmp_path, cache, change, fault):
    files = {name: content for name, content in (samples(range(8)) | change).items() if content is not None}
    refused(shard(tmp_path / "a.tar", files), fault)


def test_a_thousand_shards_need_no_thousand_open_files(tmp_path, cache):
    for k in range(60):
        shard(tmp_path / "s" / f"{k:03d}.tar", samples([k % 8]))
    trees = data.own.trees(data.locate(tmp_path / "s"))
    before = len(os.listdir("/proc/self/fd"))
    names = [entry.name for entry in trees["train"].entries()]
    assert len(names) == 60 and len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(DataError, match="no images"):
        data.load(shard(tmp_path / "none" / "0.tar", {"a.txt": "hello"}).parent)


@pytest.mark.full
def test_a_run_on_shards_goes_on_and_is_scored(tmp_path, cache, monkeypatch, command):
    for k in range(3):
        rows = [(8 * k + i) % 8 for i in range(8)] * 6
        shard(tmp_path / f"s-{k}.tar", {f"{j:03d}.png": encoded(IMAGES[i]) for j, i in enumerate(rows)})
    monkeypatch.chdir(tmp_path)
    options = ["--data", "s-{0..2}.tar", "--batch-size", 64, "--epochs", 1, "--out", "run"]
    for more in ([], ["--resume"]):
        outcome = command("train", "vae", *options, *more)
        assert outcome.code == 0, outcome.err
    record = json.loads(Path("run/run.json").read_text())["data"]
    assert (record["kind"], record["n"], record["path"]) == ("archive", 144, str(tmp_path / "s-{0..2}.tar"))
