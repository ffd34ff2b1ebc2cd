"""Does the model repeat its training set? Authenticity, near-copies and C_T, each beside the real test set's own value.

Every statistic compares distances to the nearest training image, so the first step, `neighbours`, is shared.

The test set tells what no copying looks like. A seeded half of it is the reference; the other half is scored like a
model, so that its value is what a perfect model gets. The rule: a set is flagged where z is beyond 3, that is, where
it has more near-copies than the reference (z > 3) or is nearer to the training set than the reference (C_T, z < -3).
On independent images of the true distribution a flag is wrong about once in 700, the tail of the normal distribution.
Wrong flags in 1,500 simulations of each of four settings: C_T 1, 2, 1, 1; near-copies 5 with 2 features, else none.
A C_T flag can also be earned by blurry or repeated images, which sit in dense places: near-copies is the proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.metrics.distances import nearest
from counterfeit.metrics.value import PROTOCOL_SEED, Floats, Value, as_pair

FLAG_Z = 3.0
NEAR_RATIO = 0.5
"""A near-copy is at most half as far from a training image as the next training image is,"""
NEAR_SHARE = 0.05
"""and, by that ratio, nearer than all but this share of the reference."""
IMAGES_PER_CELL = 100
MOST_CELLS = 10


@dataclass(frozen=True)
class Nearest:
    """Of every image in a set (N,): its nearest training image."""

    distance: Floats
    """To that training image, in feature units."""
    local: Floats
    """From that training image to the nearest other one: the scale of the neighbourhood."""
    cell: NDArray[np.intp]
    """The part of feature space that training image belongs to."""

    def __getitem__(self, rows: NDArray[np.intp]) -> Nearest:
        return Nearest(self.distance[rows], self.local[rows], self.cell[rows])

    @property
    def ratio(self) -> Floats:
        """distance / local (N,): 0 for a copy, also of a duplicated training image; inf beside a duplicated one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.distance == 0, 0.0, self.distance / self.local)


@dataclass(frozen=True)
class Reference:
    """What training and test images say before any fake is seen: worth keeping, since it is most of the work."""

    local: Floats
    """(T,) distance of every training image to the nearest other one."""
    distance: Floats
    """(N,) distance of every test image to the nearest training image."""
    index: NDArray[np.intp]
    """(N,) which one that is."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest training images of the fakes and of the real test set, and the halves of the latter."""

    fake: Nearest
    test: Nearest
    halves: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Row numbers of test: the reference, which has the odd image, and the control."""

    @property
    def reference(self) -> Nearest:
        return self.test[self.halves[0]]

    @property
    def control(self) -> Nearest:
        return self.test[self.halves[1]]


def reference(train: ArrayLike, test: ArrayLike) -> Reference:
    """Of training (T, D) and test (N, D) features: (T + N) T distances. Raises InputError as `neighbours` does."""
    train, test = as_pair(train, test, ("training", "real test"))
    local, _ = nearest(train, train, but=np.arange(len(train)))
    return Reference(local, *nearest(test, train))


def neighbours(
    train: ArrayLike, test: ArrayLike, fake: ArrayLike, *, seed: int = PROTOCOL_SEED, known: Reference | None = None
) -> Neighbours:
    """Find the nearest of train (T, D) for every row of test (N, D) and fake (M, D): what each function here takes.

    `seed` halves the test set and starts the cells. `known` is `reference(train, test)` from before: without the test
    set's part there are M T distances to look at.
    Raises InputError (fewer than 2 images, numbers that are not finite, columns that differ).
    """
    train, test = as_pair(train, test, ("training", "real test"))
    train, fake = as_pair(train, fake, ("training", "fake"))
    known = known or reference(train, test)
    rng = np.random.RandomState(seed)
    shuffled = rng.permutation(len(test))
    cells = _cells(train, min(MOST_CELLS, min(len(test) // 2, len(fake)) // IMAGES_PER_CELL), rng)
    halves = shuffled[len(test) // 2 :], shuffled[: len(test) // 2]

    def near(distance: Floats, index: NDArray[np.intp]) -> Nearest:
        return Nearest(distance, known.local[index], cells[index])

    return Neighbours(near(*nearest(fake, train)), near(known.distance, known.index), halves)


def _cells(train: Floats, count: int, rng: np.random.RandomState, rounds: int = 10) -> NDArray[np.intp]:
    """Part the training set (T, D) into at most `count` cells by Lloyd's algorithm from random images: labels (T,)."""
    labels = np.zeros(len(train), dtype=np.intp)
    if count < 2:
        return labels
    rows = train - train.mean(axis=0)
    centres = rows[rng.choice(len(rows), min(count, len(rows)), replace=False)]
    for _ in range(rounds):
        labels = (np.square(centres).sum(axis=1) - 2 * rows @ centres.T).argmin(axis=1)
        centres = np.stack([rows[labels == cell].mean(axis=0) for cell in np.unique(labels)])
    return labels


def authenticity(found: Neighbours) -> dict[str, Value]:
    """Share of images that are farther from their nearest training image than it is from its own nearest other one.

    Alaa et al. 2022 (arXiv:2102.08921), in [0, 1]. Right is what real test images get (0.4 to 0.8, by the dimension):
    lower means copies, higher means far from the data. Not flagged: `near_copies` is the sharper statement.
    """
    return {
        label: _share(which.distance > which.local)
        for label, which in (("Authenticity", found.fake), ("Authenticity (test)", found.test))
    }


def near_copies(found: Neighbours) -> dict[str, Value]:
    """Share of images far nearer to a training image than real test images are.

    By the ratio of an image's distance to the nearest training image over that one's distance to the nearest other
    one, which is small for copies and not for images in dense places: at most 1/2, and at most the reference's 5 %
    quantile. In [0, 1]. A model that copies nothing gets about 0.05 or less; one that copies half the time 0.5 or more,
    however bad its other images are. That is why this is here, a statistic of ours: authenticity and C_T are means
    over all images, in which bad ones make up for copies. z takes the images as independent; of a collapsed model,
    which repeats one image, it says little.
    """
    ratios = np.sort(found.reference.ratio)
    threshold = min(NEAR_RATIO, ratios[int(np.ceil(NEAR_SHARE * len(ratios))) - 1])
    reference = found.reference.ratio <= threshold
    values = {}
    for label, which in (("Near-copies", found.fake), ("Near-copies (test)", found.control)):
        near = which.ratio <= threshold
        z = _proportion_z(near, reference)
        share = _share(near)
        extras, notes = _verdict(z, z > FLAG_Z, "more near-copies of training images than among real test images")
        values[label] = Value(share.value, share.uncertainty, share.uncertainty_kind, extras, notes)
    return values


def copying_test(found: Neighbours) -> dict[str, Value]:
    """C_T (Meehan et al. 2020, arXiv:2004.05675): are fakes nearer to the training set than real test images are?

    In every cell of feature space a Mann-Whitney z of the distances to the nearest training image, fakes against
    reference, below 0 where fakes are nearer; C_T is their mean weighted by the reference's share of the cell, in
    standard deviations. About 0 is right, far below is copying, far above is underfitting. The weighted mean of
    standard normal numbers has a spread below 1, the `uncertainty`; `extras["z"]` is C_T over that.
    """
    values = {}
    for label, which in (("C_T", found.fake), ("C_T (test)", found.control)):
        value, spread = _cell_mean(which, found.reference)
        z = value / spread
        extras, notes = _verdict(z, z < -FLAG_Z, "nearer to training images than real test images are")
        values[label] = Value(value, spread, "standard deviation of C_T where nothing is copied", extras, notes)
    return values


def _cell_mean(some: Nearest, reference: Nearest) -> tuple[float, float]:
    """The weighted mean of the cells' Mann-Whitney z, and its standard deviation where both sets are alike."""
    shared = np.intersect1d(some.cell, reference.cell)
    pairs = [(some.distance[some.cell == c], reference.distance[reference.cell == c]) for c in shared]
    # A collapsed model may share no cell with the reference: then all of space is one.
    pairs = pairs or [(some.distance, reference.distance)]
    weights = np.array([len(pair[1]) for pair in pairs], dtype=np.float64)
    weights /= weights.sum()
    return float(weights @ [_rank_z(*pair) for pair in pairs]), float(np.sqrt(weights @ weights))


def _rank_z(a: Floats, b: Floats) -> float:
    """Mann-Whitney z of a (N,) against b (M,), below 0 where a is smaller; equal numbers share their ranks."""
    n, m = len(a), len(b)
    _, place, counts = np.unique(np.concatenate([a, b]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    u = ranks[:n].sum() - n * (n + 1) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))


def _proportion_z(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """z of the share of a (N,) against that of b (M,), with the pooled variance; 0 where all or none are hits."""
    pooled = (a.sum() + b.sum()) / (len(a) + len(b))
    variance = pooled * (1 - pooled) * (1 / len(a) + 1 / len(b))
    return float((a.mean() - b.mean()) / np.sqrt(variance)) if variance > 0 else 0.0


def _share(hits: NDArray[np.bool_]) -> Value:
    error = float(hits.std(ddof=1) / np.sqrt(len(hits))) if len(hits) > 1 else None
    return Value(float(hits.mean()), error, "standard error over the images, the training set held fixed")


def _verdict(z: float, flagged: bool, what: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """A statistic's extras, and the note that a flag brings."""
    return {"z": z, "flagged": float(flagged)}, ((f"flagged: {what} (z = {z:.1f})",) if flagged else ())
