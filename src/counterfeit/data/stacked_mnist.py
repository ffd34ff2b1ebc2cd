"""Stacked MNIST: three digits as the color channels of an image, which gives 1,000 modes that a classifier can count.

The data set is that of Metz, Poole, Pfau and Sohl-Dickstein 2017 (arXiv:1611.02163), with 128,000 training images as in
PacGAN (Lin, Khetan, Fanti and Oh 2018, arXiv:1712.04086). The digits are drawn at random with replacement, from MNIST's
training set or test set, with a fixed seed: everybody's draw is another, and no two papers have the same images.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from counterfeit import catalog
from counterfeit.data.named import DATASETS, DataSet, RawFile, load_named, parse_raw
from counterfeit.data.sources import MADE, Source

SEED = 20161107  # of the draws
BLOCK = 1000  # images written at a time
COUNTS = catalog.DATA["stacked-mnist"].counts


def stack(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stacked images (N, 3, H, W) and their three-digit numbers, uint16 (N,), of the digits in `rows` (N, 3).

    The first channel is the digit of the hundreds.
    """
    return images[rows, 0], (labels[rows] @ np.array([100, 10, 1])).astype("<u2")


def draws(split: str, digits: int, n: int) -> np.ndarray:
    """Which of so many digits are stacked: int64 (n, 3), the same in every call."""
    return np.random.default_rng([SEED, *split.encode()]).integers(0, digits, (n, 3))


def _make(folder: Path) -> None:
    for split, n in COUNTS.items():
        digits = load_named(DATASETS["mnist"], split)
        assert digits.labels is not None
        rows = draws(split, len(digits), n)
        with (
            (folder / f"{split}-images.bin").open("wb") as images,
            (folder / f"{split}-labels.bin").open("wb") as labels,
        ):
            for start in range(0, n, BLOCK):
                stacked, numbers = stack(digits.images, digits.labels, rows[start : start + BLOCK])
                images.write(stacked.tobytes())
                labels.write(numbers.tobytes())


def _parse_labels(content: np.ndarray, path: Path, *, count: int) -> np.ndarray:
    return parse_raw(content, path, shape=(2 * count,)).view("<u2")


def _files(split: str, count: int) -> tuple[RawFile, RawFile]:
    return (
        RawFile(f"{split}-images.bin", None, partial(parse_raw, shape=(count, 3, 28, 28))),
        RawFile(f"{split}-labels.bin", None, partial(_parse_labels, count=count)),
    )


DATASETS.add(
    "stacked-mnist",
    DataSet(
        **vars(catalog.DATA["stacked-mnist"]),
        name="stacked-mnist",
        classes=tuple(f"{number:03d}" for number in range(1000)),
        files={split: _files(split, count) for split, count in COUNTS.items()},
        sources=(Source(MADE, "made of mnist", _make),),
    ),
)
