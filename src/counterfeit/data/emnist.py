"""EMNIST, its balanced part: handwritten digits and letters.

Cohen, Afshar, Tapson and van Schaik 2017, arXiv:1702.05373.
"""

from __future__ import annotations

import string
import zipfile
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from counterfeit import catalog
from counterfeit.data.download import download
from counterfeit.data.idx import NAMES, parse_idx
from counterfeit.data.named import DATASETS, DataSet, RawFile, parse_raw
from counterfeit.data.sources import Source
from counterfeit.data.unpack import gunzip

# As TensorFlow Datasets (url_checksums/emnist.txt) has it; torchvision has the MD5 58c8d27c….
SIZE, SHA256 = 561_753_746, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"
HOMES = (
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
)
MEMBER = "gzip/emnist-balanced-{}.gz".format
# Small letters that look like their capitals are one class with them; the others are classes of their own.
CLASSES = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")


def decode_zip(archive: Path, folder: Path) -> None:
    """Write the raw files from NIST's archive, in which images lie on their sides: their rows are its columns."""
    with zipfile.ZipFile(archive) as packed:
        for name in NAMES:
            split, _, rest = name.partition("-")
            with packed.open(MEMBER(f"{'train' if split == 'train' else 'test'}-{rest}")) as file:
                content = np.frombuffer(gunzip(file), np.uint8)
            array = parse_idx(content, archive, ndim=3 if "images" in name else 1)
            (folder / name).write_bytes((array.transpose(0, 2, 1) if array.ndim == 3 else array).tobytes())


def _from_home(url: str, folder: Path) -> None:
    archive = folder / "gzip.zip"
    download(url, archive, size=SIZE, sha256=SHA256)
    decode_zip(archive, folder)


def _files(images: str, labels: str, count: int) -> tuple[RawFile, RawFile]:
    return (
        RawFile(images, None, partial(parse_raw, shape=(count, 28, 28))),
        RawFile(labels, None, partial(parse_raw, shape=(count,))),
    )


DATASETS.add(
    "emnist-balanced",
    DataSet(
        **vars(catalog.DATA["emnist-balanced"]),
        name="emnist-balanced",
        classes=CLASSES,
        files={"train": _files(*NAMES[:2], 112_800), "test": _files(*NAMES[2:], 18_800)},
        sources=tuple(Source("https", urlsplit(url).netloc, partial(_from_home, url)) for url in HOMES),
    ),
)
