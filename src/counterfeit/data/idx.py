"""Read the IDX files in which MNIST and similar data sets are published: http://yann.lecun.com/exdb/mnist/."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from counterfeit.data.download import download
from counterfeit.data.named import RawFile
from counterfeit.data.sources import Source
from counterfeit.data.unpack import gunzip
from counterfeit.errors import DataError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def parse_idx(content: np.ndarray, path: Path, *, ndim: int) -> np.ndarray:
    """Parse the bytes of an IDX file, uint8 (n,), into a uint8 array with `ndim` axes: a view.

    The header is big-endian, 4 bytes each: the magic number 0x000008nn (08 = uint8, nn = ndim), then the length of each
    axis. Raises DataError that names `path` for another magic number, or a length that contradicts the header.
    """
    fix = "it must be downloaded again"
    header = 4 * (1 + ndim)
    if len(content) < header:
        raise DataError(f"{path} is not an IDX file: {len(content)} bytes, expected a header of {header}; {fix}")
    magic, *shape = (int(word) for word in content[:header].view(">u4"))
    if magic != 0x0800 + ndim:
        raise DataError(
            f"{path} is not an IDX file of {ndim} axes: magic {magic:#010x}, expected {0x0800 + ndim:#010x}; {fix}"
        )
    expected = header + math.prod(shape)
    if len(content) != expected:
        fault = "too short" if len(content) < expected else "too long"
        axes = "x".join(map(str, shape))
        raise DataError(f"{path} is {fault}: {len(content):,} bytes, its header ({axes}) requires {expected:,}; {fix}")
    return content[header:].reshape(shape)


def idx_files(digests: Sequence[str | None]) -> dict[str, tuple[RawFile, RawFile]]:
    """The raw files by split, from the SHA-256 of the four unpacked files in the order of NAMES, or None."""
    files = [
        RawFile(name, digest, partial(parse_idx, ndim=3 if "images" in name else 1))
        for name, digest in zip(NAMES, digests, strict=True)
    ]
    return {"train": (files[0], files[1]), "test": (files[2], files[3])}


def idx_mirror(base: str, packed_digests: Sequence[str] | None = None) -> Source:
    """A source for a web folder (its URL ends in a slash) with the four files, each as NAME.gz.

    `packed_digests` are the SHA-256 of the .gz files; without them, those of the unpacked files must be known.
    """
    return Source("https", urlsplit(base).netloc, partial(_fetch, base, packed_digests or [None] * len(NAMES)))


def _fetch(base: str, digests: Sequence[str | None], folder: Path) -> None:
    for name, sha256 in zip(NAMES, digests, strict=True):
        packed = folder / f"{name}.gz"
        download(f"{base}{name}.gz", packed, sha256=sha256)
        (folder / name).write_bytes(gunzip(packed))
