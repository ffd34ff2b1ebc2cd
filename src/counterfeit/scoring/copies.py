"""Search for the training image that a generated image is a copy of: mirrored, shifted, compressed or noisy.

The search has two steps. First, low frequencies: their magnitudes do not change if an image is shifted, and change
places if it is mirrored. They select, among all training images, the few candidates that can be the source. Second,
these candidates are compared pixel by pixel, at every shift. A copy is far nearer to its source than to the other
candidates, and another image of the same kind is not: the ratio of the two distances shows this, whatever the contrast
of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from counterfeit.data import ImageSet
from counterfeit.data.form import form_of
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.metrics.memorization import Matches
from counterfeit.sampling import BLOCK
from counterfeit.scoring.features import CHOICE
from counterfeit.scoring.images import Images, in_words, subset, used
from counterfeit.scoring.kept import Arrays, kept, key_of
from counterfeit.system.distributed import Group

SIDE = 32
"""Images with longer sides are averaged down to about this many pixels; the search shifts by pixels of that size."""
FREQUENCIES = 7
"""Per axis. With 7, the source of a CIFAR-10 image shifted by one pixel down and across was among the candidates for
1,000 of 1,000 images, with 5 for 999; for images shifted by two pixels, for 889 of 1,000."""
EDGE = 0.3
"""Share of a side at each end over which the window falls to 0, so that content entering at an edge does not count."""
MOVES = 2
"""Largest shift of a copy that is searched for, in pixels up, down, left and right."""
CANDIDATES = 16
ROWS = 128  # images searched together: with 60,000 training images, 30 MiB of distances
GROUPS = 32  # training images represented by their smallest distance when the nearest are selected


Small = np.ndarray  # uint8 (N, C, h, w) as `shrunk` gives them


def shrunk(images: np.ndarray) -> Small:
    """Average uint8 (N, C, H, W) over squares of pixels, so that sides have at most about SIDE pixels."""
    n, c, h, w = images.shape
    step = max(1, min(-(-max(h, w) // SIDE), min(h, w) // 8))
    if step == 1:
        return images
    padded = np.pad(images, ((0, 0), (0, 0), (0, -h % step), (0, -w % step)), mode="edge")
    squares = padded.reshape(n, c, padded.shape[2] // step, step, padded.shape[3] // step, step)
    return np.round(squares.mean(axis=(3, 5), dtype=np.float32)).astype(np.uint8)


def spectra(small: Small) -> np.ndarray:
    """Magnitudes of the low frequencies of the gray image: float32 (N, 2 · 7 - 1, 7), vertical ones from -6 to 6.

    For a mirrored image they are reversed along the first of these axes.
    """
    gray = small.mean(axis=1, dtype=np.float32)  # (N, h, w)
    height, width = gray.shape[1:]
    across = _waves(width, np.arange(FREQUENCIES))
    down = _waves(height, np.arange(1 - FREQUENCIES, FREQUENCIES))
    lines = gray.reshape(-1, width) @ np.concatenate([across.real, across.imag], axis=1)
    real, imaginary = lines.reshape(len(gray), height, 2, FREQUENCIES).transpose(2, 0, 3, 1)  # (N, 7, h) each
    found = np.matmul(real + 1j * imaginary, down)  # (N, 7, 13)
    return np.abs(found).transpose(0, 2, 1).astype(np.float32)


def _waves(side: int, frequencies: np.ndarray) -> np.ndarray:
    """Windowed waves, complex64 (side, F), with norm 1 or less."""
    place = (np.arange(side) + 0.5) / side
    window = np.sin(np.pi / 2 * np.minimum(1, np.minimum(place, 1 - place) / EDGE)) ** 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(side), frequencies) / side) / side**0.5
    return (window[:, None] * waves).astype(np.complex64)


def middles(small: Small, moves: list[tuple[int, int]]) -> np.ndarray:
    """The images without their MOVES outer pixels, shifted, averaged over 2x2 pixels: float32 (N, len(moves), D)."""
    _, _, h, w = small.shape
    pool = 2 if min(h, w) >= 16 else 1
    inner = [(side - 2 * MOVES) // pool * pool for side in (h, w)]
    rows, columns = (size // pool for size in inner)
    found = np.empty((len(small), len(moves), small.shape[1] * rows * columns), np.float32)
    pixels = small.astype(np.float32)
    pooled: dict[tuple[int, int], np.ndarray] = {}  # by where the first square begins; moves by whole squares share it
    for i, (down, right) in enumerate(moves):
        (top, y), (left, x) = divmod(MOVES + down, pool), divmod(MOVES + right, pool)
        if (y, x) not in pooled:
            pooled[y, x] = _averaged(pixels[:, :, y:, x:], pool)
        part = pooled[y, x][:, :, top : top + rows, left : left + columns]
        found[:, i] = part.reshape(len(small), -1)
    return found


def _averaged(pixels: np.ndarray, side: int) -> np.ndarray:
    """Means of float32 (N, C, h, w) over whole squares of side x side pixels."""
    h, w = (size // side * side for size in pixels.shape[2:])
    parts = [pixels[:, :, y:h:side, x:w:side] for y in range(side) for x in range(side)]
    return sum(parts[1:], start=parts[0]) / side**2


STILL = [(0, 0)]
EVERYWHERE = sorted(
    ((y, x) for y in range(-MOVES, MOVES + 1) for x in range(-MOVES, MOVES + 1)), key=lambda m: abs(m[0]) + abs(m[1])
)  # unshifted first, so that it wins ties


class Gallery:
    """Training images prepared for the search for sources of copies; 60,000 of 32x32 in color take 150 MiB."""

    def __init__(self, images: ImageSet) -> None:
        parts, chosen = [], list(subset(len(images), used(images), 0))
        self.rows = np.concatenate(chosen)
        for rows in chosen:
            small = shrunk(take(images.images, rows))
            # float16 holds quarters up to 255.75, so nothing is lost.
            parts.append((*_halves(spectra(small)), middles(small, STILL)[:, 0].astype(np.float16)))
        even, self.odd, self.middles = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.center = even.mean(axis=0)  # the mean of the odd halves is 0 if mirrored images count as well
        self.even = even - self.center
        self.half_norms = (np.square(self.even).sum(axis=1) + np.square(self.odd).sum(axis=1)) / 2
        self.width = -(-len(even) // GROUPS)
        self.scores = np.full((ROWS, self.width * GROUPS), np.inf, np.float32)

    def search(self, small: Small) -> Matches:
        """The best match of each image, uint8 (N, C, h, w) from `shrunk`."""
        parts = [self._search(small[start : start + ROWS]) for start in range(0, len(small), ROWS)]
        ratio, kind, index = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Matches(ratio, kind, self.rows[index])

    def _search(self, small: Small) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ratio, kind and training image (as a row of the gallery) for each of at most ROWS images."""
        chosen = self._candidates(small)
        both = np.concatenate([middles(small, EVERYWHERE), middles(small[..., ::-1], EVERYWHERE)], axis=1)
        square = _squares(both, self.middles[chosen].astype(np.float32))  # (N, 2 · 25, K)
        place = square.argmin(axis=1)  # (N, K)
        distance = np.sqrt(square.min(axis=1))
        nearest = distance.argmin(axis=1)
        every = np.arange(len(small))
        scale = np.median(distance, axis=1)
        ratio = np.divide(distance[every, nearest], scale, out=np.ones(len(small), np.float32), where=scale > 0)
        mirrored, move = np.divmod(place[every, nearest], len(EVERYWHERE))
        return ratio.astype(np.float64), mirrored + 2 * (move > 0), chosen[every, nearest]

    def _candidates(self, small: Small) -> NDArray[np.intp]:
        """Gallery rows (N, K) whose spectra are nearest to those of an image or of its mirror image.

        Half the squared distance to the nearer of the two is ‖t‖²/2 - even·even - |odd·odd|, up to a constant per
        image.
        """
        even, odd = _halves(spectra(small))
        even -= self.center
        total, count, width = len(self.even), len(small), self.width
        scores = self.scores[:count]
        # The K nearest are in the K groups with the smallest minima: numpy has no fast partial sort of long rows.
        # Image i of every run of `width` images is in group i; one run after another stays in a processor's cache.
        least = np.full((count, width), np.inf, np.float32)
        for start in range(0, total, width):
            run = slice(start, min(start + width, total))
            product = odd @ self.odd[run].T
            np.subtract(self.half_norms[run], np.abs(product, out=product), out=product)
            found = np.subtract(product, even @ self.even[run].T, out=scores[:, run])
            np.minimum(least[:, : found.shape[1]], found, out=least[:, : found.shape[1]])
        some = min(CANDIDATES, width)
        where = np.argpartition(least, some - 1, axis=1)[:, :some]  # (N, some)
        columns = (where[:, None] + np.arange(GROUPS)[:, None] * width).reshape(count, -1)
        some = min(CANDIDATES, total)
        order = np.argpartition(np.take_along_axis(scores, columns, axis=1), some - 1, axis=1)[:, :some]
        return np.take_along_axis(columns, order, axis=1)


def _halves(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split spectra into the half (N, 49) that mirroring preserves and the half (N, 42) whose sign it changes.

    They are scaled so that their squared distances add up to that of the spectra.
    """
    up, down = found[:, FREQUENCIES:], found[:, FREQUENCIES - 2 :: -1]
    even = np.concatenate([found[:, FREQUENCIES - 1], ((up + down) * 0.5**0.5).reshape(len(found), -1)], axis=1)
    return even, ((up - down) * 0.5**0.5).reshape(len(found), -1)


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances (B, N, M) between x (B, N, D) and y (B, M, D)."""
    square = np.matmul(x, y.transpose(0, 2, 1))
    square *= -2
    square += np.square(x).sum(axis=2)[:, :, None]
    square += np.square(y).sum(axis=2)[:, None]
    return np.maximum(square, 0, out=square)


class Seen:
    """Stores small copies of the images drawn from `images`, for the search among training images.

    Attributes:
        images: draw from this instead of the original; raises InputError if the images do not have the training images'
            form.
    """

    def __init__(self, images: Images, train: ImageSet) -> None:
        self._small: list[Small] = []

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            self._small = []
            for batch in images.draw(n, seed, group):
                check_searchable(images.name, batch, train)
                self._small.append(shrunk(batch))
                yield batch

        self.images = replace(images, draw=draw)

    def gathered(self, n: int, group: Group) -> Small | None:
        """All n images that the processes of the group drew, in the first process; None in the others."""
        parts = group.gather(self._small)
        if parts is None:
            return None
        order = np.argsort(np.concatenate(group.shares(n, BLOCK)))
        return np.concatenate([batch for part in parts for batch in part])[order]


def check_searchable(name: str, images: np.ndarray, train: ImageSet) -> None:
    """Raise InputError if images (N, C, H, W) cannot be compared with training images pixel by pixel.

    A detector that resizes each set to its own size accepts such images anyway.
    """
    _, c, h, w = images.shape
    if (c, h, w) != train.shape:
        raise InputError(
            f"near-copies compares pixels, and {name} has images of {in_words((c, h, w))} and {train.name}:"
            f"{train.split} of {in_words(train.shape)}: pass --size {min(h, w, *train.shape[1:])}, or leave it out"
        )


def of_test(test: ImageSet, gallery: Callable[[], Gallery], train: ImageSet) -> Matches:
    """Matches of the real images used for comparison, from the cache if possible."""
    check_searchable(f"{test.name}:{test.split}", test.images, train)
    what = f"copies of {train.name}'s training images among {used(test):,} of {test.split}"

    def make() -> Arrays:
        small = [shrunk(take(test.images, rows)) for rows in subset(len(test), used(test), 0)]
        return vars(gallery().search(np.concatenate(small)))

    sets = [[images.digest, form_of(images), used(images)] for images in (train, test)]
    key = key_of(sets, "metrics", "scoring/copies.py", *CHOICE)
    return Matches(**kept("copies", key, ("ratio", "kind", "index"), what, make))
