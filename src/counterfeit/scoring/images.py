"""What can be scored, in one form: something that gives uint8 images in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterfeit import data as datasets
from counterfeit.data import ImageSet
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.generate import BLOCK
from counterfeit.processes import ALONE, Group

BATCH = 1000
# Real images that a set is represented by, so that the memory for features and the search for neighbours are bounded:
# as many as the largest named data set has, whose numbers are of all its images.
MOST_REAL = 60_000


@dataclass(frozen=True)
class Images:
    """Generated images, drawn or at hand.

    Attributes:
        name: for the receipt, such as a path.
        most: how many there are; None where as many as one likes can be drawn.
        draw: (n, seed, group) -> batches of uint8 (≤ BATCH, C, H, W), n images in all, of which each process of the
            group gets its share; another seed is an independent draw of a generator, and another subset of images at
            hand.
        digest: SHA-256 of images at hand, of a run that of its weights, None for another generator.
        shape: (C, H, W) where it is known before anything is drawn.
        labels: n -> the labels (n,) that `draw(n, …)` generates for, or None.
    """

    name: str
    most: int | None
    draw: Callable[[int, int, Group], Iterator[np.ndarray]]
    digest: str | None = None
    labels: Callable[[int], np.ndarray | None] = lambda n: None
    shape: tuple[int, int, int] | None = None

    @classmethod
    def of_set(cls, images: ImageSet) -> Images:
        """Images at hand; n < all takes a seeded subset."""

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            for rows in subset(len(images), n, seed, group):
                yield take(images.images, rows)

        return cls(images.name, len(images), draw, images.digest)

    @classmethod
    def of_callable(cls, function: Callable[[int, int], Any]) -> Images:
        """A generator of the user's: function(n, seed) gives n images as a uint8 array, the same in every process."""
        name = getattr(function, "__name__", type(function).__name__)

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            images = datasets.load(function(n, seed)).images
            if len(images) != n:
                raise InputError(f"{name}({n}, {seed}) gave {len(images)} images; it must give {n}")
            for rows in subset(n, n, seed, group):
                yield images[rows]

        return cls(name, None, draw)

    @classmethod
    def of(cls, source: Any, like: ImageSet, skip_bad: bool = False) -> Images:
        """A folder, .npz file, array or callable; a folder's images are brought to the size of the real ones.

        Raises DataError or InputError where they cannot be read or do not fit the real images.
        """
        return cls.of_callable(source) if callable(source) else cls.of_set(fitting(source, like, skip_bad))


def fitting(source: Any, like: ImageSet, skip_bad: bool = False, labels: Any = None) -> ImageSet:
    """A folder, .npz file or array of generated images; `labels` are an array's. Raises as `Images.of` does."""
    if datasets.locate(source).kind == "folder":
        images = datasets.load(source, labels=labels, size=square(like), skip_bad=skip_bad)
    else:
        images = datasets.load(source, labels=labels)
    check_form(images.name, images.shape, like)
    return images


def check_form(name: str, shape: tuple[int, int, int], like: ImageSet) -> None:
    """InputError where generated images (C, H, W) are not of the real ones' form."""
    if shape != like.shape:
        raise InputError(
            f"{name} has images of {in_words(shape)} and the real ones, {like.name}, are {in_words(like.shape)}: "
            "score them against real images of the same form"
        )


def used(images: ImageSet) -> int:
    """How many of a set of real images are compared with: all, or of more than MOST_REAL a seeded choice of so many."""
    return min(len(images), MOST_REAL)


def subset(total: int, n: int, seed: int, group: Group = ALONE) -> Iterator[np.ndarray]:
    """Row numbers of n of `total` images in ascending batches: all of them, or a seeded choice.

    Of several processes each gets its share.
    """
    rows = np.arange(total) if n >= total else np.sort(np.random.default_rng(seed).permutation(total)[:n])
    rows = rows[group.shares(len(rows), BLOCK)[group.rank]]
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def square(images: ImageSet) -> int:
    """The side of square images."""
    _, h, w = images.shape
    if h != w:
        raise InputError(f"{images.name} has images of {h}x{w}; a folder can be compared with square ones only")
    return h


def in_words(shape: tuple[int, int, int]) -> str:
    """`28x28 grey`."""
    c, h, w = shape
    return f"{h}x{w} {'grey' if c == 1 else 'RGB'}"
