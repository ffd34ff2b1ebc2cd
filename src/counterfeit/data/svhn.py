"""SVHN: digits in photos of house numbers (Netzer, Wang, Coates, Bissacco, Wu and Ng 2011), in its cropped form."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from counterfeit import catalog
from counterfeit.data.download import download
from counterfeit.data.mat5 import read_mat
from counterfeit.data.named import DATASETS, DataSet, RawFile, parse_raw
from counterfeit.data.sources import Source
from counterfeit.errors import DataError

HOST = "ufldl.stanford.edu"
# Size and SHA-256 as TensorFlow Datasets (url_checksums/svhn_cropped.txt) has them; torchvision has the MD5s e26dedcc…
# and eb5a983b….
MATS = {
    "train": (182_040_794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
    "test": (64_275_384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
}
BLOCK = 1000  # images written at a time


def decode_mat(path: Path, split: str, folder: Path) -> None:
    """Write the raw files of a split: `X` is (32, 32, 3, N), and in `y` the digit 0 is called 10."""
    arrays = read_mat(path)
    images, labels = arrays.get("X"), arrays.get("y")
    if images is None or labels is None or images.shape[:3] != (32, 32, 3) or labels.size != images.shape[-1]:
        raise DataError(f"{path} does not hold images X and labels y of uint8; it must be downloaded again")
    with (folder / f"{split}-images.bin").open("wb") as file:
        for start in range(0, labels.size, BLOCK):
            file.write(images[..., start : start + BLOCK].transpose(3, 0, 1, 2).tobytes())
    (folder / f"{split}-labels.bin").write_bytes((labels.ravel() % 10).tobytes())


def _from_home(scheme: str, folder: Path) -> None:
    for split, (size, sha256) in MATS.items():
        path = folder / f"{split}_32x32.mat"
        if not path.exists():  # whole and verified, before another failed
            download(f"{scheme}://{HOST}/housenumbers/{path.name}", path, size=size, sha256=sha256)
        decode_mat(path, split, folder)


def _files(split: str, count: int) -> tuple[RawFile, RawFile]:
    return (
        RawFile(f"{split}-images.bin", None, partial(parse_raw, shape=(count, 32, 32, 3))),
        RawFile(f"{split}-labels.bin", None, partial(parse_raw, shape=(count,))),
    )


DATASETS.add(
    "svhn",
    DataSet(
        **vars(catalog.DATA["svhn"]),
        name="svhn",
        classes=tuple("0123456789"),
        files={split: _files(split, count) for split, count in catalog.DATA["svhn"].counts.items()},
        # The published address is plain HTTP; what comes is held against the SHA-256 either way.
        sources=tuple(Source("https", HOST, partial(_from_home, scheme)) for scheme in ("https", "http")),
    ),
)
