"""Does the model repeat its training set? Authenticity and near-copies, each beside the value of the real test set.

Every statistic compares distances to the nearest training image, so the first step, `neighbors`, is shared.
Near-copies also uses the result of a pixel search (`Matches`), which finds mirrored, shifted or compressed copies. C_T,
which also starts from `neighbors`, is in `copying_test`.

The test set shows what to expect without copying. A seeded half of it is the reference; the other half is scored like a
model, so its value is what a perfect model gets. The rule: a set is flagged if z is beyond 3, that is, if it has more
near-copies than the reference (z > 3), or if it is nearer to the training set than the reference is and than training
images are to each other (C_T, z < -3). On independent images of the true distribution, a flag is wrong about once in
700 cases, the tail of the normal distribution. Blurry or repeated images, which are in dense regions, can also cause a
C_T flag: near-copies is the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.metrics.distances import nearest
from counterfeit.metrics.keep import Keep, Sets, computed
from counterfeit.metrics.value import PROTOCOL_SEED, Floats, Value, as_pair, share_error

FLAG_Z = 3.0
NEAR_RATIO = 0.5
"""A near-copy is at most half as far from a training image as the next training image is,"""
PIXEL_RATIO = 0.2
"""or its pixels are at most a fifth as far from a training image as from the other candidates (the median),"""
NEAR_SHARE = 0.05
"""and, by the same ratio, nearer than all but this share of the reference."""
IMAGES_PER_CELL = 100
MOST_CELLS = 10


KINDS = ("as it is", "mirrored", "moved", "mirrored and moved")
"""The ways an image may match a training image's pixels; Matches.kind is an index into this tuple."""


@dataclass(frozen=True)
class Matches:
    """Result of the pixel search among training images for every image in a set (N,)."""

    ratio: Floats
    """Distance to the best match divided by the median distance to all candidates: about 0 for a copy, 1 for none."""
    kind: NDArray[np.intp]
    """Index into KINDS, for the best match."""
    index: NDArray[np.intp]
    """Row of the best match in the training set."""

    def __getitem__(self, rows: NDArray[Any]) -> Matches:
        return Matches(self.ratio[rows], self.kind[rows], self.index[rows])


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of every image in a set (N,)."""

    distance: Floats
    """Distance to that training image, in feature units."""
    local: Floats
    """Distance from that training image to the nearest other one: the local scale."""
    cell: NDArray[np.intp]
    """The cell of feature space to which that training image belongs."""
    matches: Matches | None = None
    """Result of the pixel search, if there was one."""

    def __getitem__(self, rows: NDArray[Any]) -> Nearest:
        matches = None if self.matches is None else self.matches[rows]
        return Nearest(self.distance[rows], self.local[rows], self.cell[rows], matches)

    @property
    def ratio(self) -> Floats:
        """distance / local (N,): 0 for a copy, even of a duplicated training image; inf near a duplicated one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.distance == 0, 0.0, self.distance / self.local)


@dataclass(frozen=True)
class Reference:
    """What training and test images give before any fake is seen: most of the work."""

    local: Floats
    """(T,) distance of every training image to the nearest other one."""
    other: NDArray[np.intp]
    """(T,) index of that image."""
    distance: Floats
    """(N,) distance of every test image to the nearest training image."""
    index: NDArray[np.intp]
    """(N,) index of that image."""


@dataclass(frozen=True)
class Neighbors:
    """The nearest training images of the fakes, the real test set and the training set; the halves of the test set."""

    fake: Nearest
    test: Nearest
    train: Nearest
    """Each training image's nearest other one, without exact duplicates."""
    halves: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Row numbers of the test set: the reference, which gets the odd image, and the control."""

    @property
    def reference(self) -> Nearest:
        return self.test[self.halves[0]]

    @property
    def control(self) -> Nearest:
        return self.test[self.halves[1]]


@dataclass(frozen=True)
class Cells:
    """A partition of feature space."""

    labels: NDArray[np.intp]
    """(T,) the cell of every training image."""


def neighbors(
    train: ArrayLike,
    test: ArrayLike,
    fake: ArrayLike,
    *,
    seed: int = PROTOCOL_SEED,
    keep: Keep = computed,
    matches: tuple[Matches, Matches] | None = None,
) -> Neighbors:
    """Find the nearest row of train (T, D) for every row of test (N, D) and fake (M, D): the input of the metrics here.

    `seed` determines the halves of the test set and the start of the cells. `keep` is asked for what depends on
    training and test images alone: all but M T of the (T + N + M) T distances. `matches` are those of test and fake,
    for near-copies. Raises InputError (fewer than 2 images, numbers that are not finite, different numbers of columns).
    """
    train, test = as_pair(train, test, ("training", "real test"))
    train, fake = as_pair(train, fake, ("training", "fake"))
    both: Sets = ("train", "real")
    known = keep("nearest training images", both, Reference, lambda: _reference(train, test))
    rng = np.random.RandomState(seed)
    shuffled = rng.permutation(len(test))
    halves = shuffled[len(test) // 2 :], shuffled[: len(test) // 2]
    count = min(MOST_CELLS, min(len(test) // 2, len(fake)) // IMAGES_PER_CELL)
    what = f"{count} cells of the training images, seed {seed}"
    cells = np.zeros(len(train), dtype=np.intp)
    if count > 1:
        cells = keep(what, both, Cells, lambda: Cells(_cells(train, count, rng))).labels

    def near(distance: Floats, index: NDArray[np.intp], found: Matches | None) -> Nearest:
        return Nearest(distance, known.local[index], cells[index], found)

    of_test, of_fake = matches or (None, None)
    own = near(known.local, known.other, None)[known.local > 0]
    return Neighbors(near(*nearest(fake, train), of_fake), near(known.distance, known.index, of_test), own, halves)


def _reference(train: Floats, test: Floats) -> Reference:
    local, other = nearest(train, train, but=np.arange(len(train)))
    return Reference(local, other, *nearest(test, train))


def _cells(train: Floats, count: int, rng: np.random.RandomState, rounds: int = 10) -> NDArray[np.intp]:
    """Split the training set (T, D) into at most `count` cells by Lloyd's algorithm from random images; labels (T,)."""
    labels = np.zeros(len(train), dtype=np.intp)
    if count < 2:
        return labels
    rows = train - train.mean(axis=0)
    centers = rows[rng.choice(len(rows), min(count, len(rows)), replace=False)]
    for _ in range(rounds):
        labels = (np.square(centers).sum(axis=1) - 2 * rows @ centers.T).argmin(axis=1)
        centers = np.stack([rows[labels == cell].mean(axis=0) for cell in np.unique(labels)])
    return labels


def authenticity(found: Neighbors) -> dict[str, Value]:
    """Share of images farther from their nearest training image than it is from its own nearest other training image.

    Alaa et al. 2022 (arXiv:2102.08921), in [0, 1]. The ideal is the value of real test images (0.4 to 0.8, depending on
    the dimension): lower means copies, higher means far from the data. Never flagged: `near_copies` is the more
    sensitive test.
    """
    return {
        label: _share(which.distance > which.local)
        for label, which in (("Authenticity", found.fake), ("Authenticity (test)", found.test))
    }


def near_copies(found: Neighbors) -> dict[str, Value]:
    """Share of images far nearer to a training image than real test images are, in features or in pixels; in [0, 1].

    In features, the ratio is an image's distance to the nearest training image over that training image's distance to
    the nearest other one, which is small for copies but not for images in dense regions; it must be at most 1/2. In
    pixels, `Matches.ratio` must be at most 1/5. Each must also be at most the 5 % quantile of the reference. A model
    that copies nothing gets about the value of the test set; one that copies half the time gets 0.5 or more, however
    bad its other images are. This is why we added this statistic of our own: authenticity and C_T are means over all
    images, in which bad images compensate for copies. z assumes independent images; for a collapsed model, which
    repeats one image, it says little.
    """
    limits = _limits(found.reference)
    reference = _any(_is_near(found.reference, limits[1]))
    values = {}
    for label, which in (("Near-copies", found.fake), ("Near-copies (test)", found.control)):
        fewer, near, more = (_is_near(which, limit) for limit in limits)
        copies = _any(near)
        z = _proportion_z(copies, reference)
        share = _share(copies)
        # The thresholds' part: how far the share moves when the thresholds move by one standard error of the quantile.
        moves = (_any(more).mean() - _any(fewer).mean()) / 2
        error = float(np.hypot(share.uncertainty or 0.0, moves))
        extras, notes = verdict(z, z > FLAG_Z, "more near-copies of training images than among real test images")
        kinds, sorts = _kinds(which, near, of_test=which is not found.fake)
        values[label] = Value(share.value, error, share.uncertainty_kind, extras | kinds, notes and (notes[0] + sorts,))
    return values


Limits = tuple[float, float]
"""The largest ratios, in features and in pixels, of a near-copy."""


def _limits(reference: Nearest) -> tuple[Limits, Limits, Limits]:
    """The thresholds (the middle value), and those at a quantile one standard error of the reference down and up."""
    count = len(reference.distance)
    rank, error = NEAR_SHARE * count, (NEAR_SHARE * (1 - NEAR_SHARE) * count) ** 0.5
    ranks = np.clip(np.ceil([rank - error, rank, rank + error]).astype(int), 1, count) - 1
    features = np.minimum(NEAR_RATIO, np.sort(reference.ratio)[ranks])
    pixels = np.full(3, PIXEL_RATIO)
    if reference.matches is not None:
        pixels = np.minimum(PIXEL_RATIO, np.sort(reference.matches.ratio)[ranks])
    low, middle, high = ((float(a), float(b)) for a, b in zip(features, pixels, strict=True))
    return low, middle, high


def _is_near(which: Nearest, limits: Limits) -> NDArray[np.bool_]:
    """Whether images (N,) are near in features, and in pixels: (2, N)."""
    pixels = np.zeros(len(which.distance), bool) if which.matches is None else which.matches.ratio <= limits[1]
    return np.stack([which.ratio <= limits[0], pixels])


def _any(near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether images are near in either way, (2, N) -> (N,)."""
    return np.asarray(near.any(axis=0))


def _kinds(which: Nearest, near: NDArray[np.bool_], of_test: bool) -> tuple[dict[str, float], str]:
    """Shares by features, by pixels and by kind of match, as extras; and the same in words, with the nearest match."""
    if which.matches is None:
        return {}, ""
    shares = np.bincount(which.matches.kind[near[1]], minlength=len(KINDS)) / near.shape[1]
    kinds = {kind: float(share) for kind, share in zip(KINDS, shares, strict=True)}
    extras = {"features": float(near[0].mean()), "pixels": float(near[1].mean())} | kinds
    extras = {name.replace(" ", "_"): share for name, share in extras.items()}
    said = ", ".join(f"{share:.2%} {kind}" for kind, share in kinds.items() if share)
    first = int(which.matches.ratio.argmin())
    who = "a test image" if of_test else f"generated image {first:,}"
    nearest_one = f"{who} is nearest, to training image {which.matches.index[first]:,}"
    return extras, f": in pixels {said}; {nearest_one}" if said else ": in features only"


def _proportion_z(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """z of the share of a (N,) against the share of b (M,), with pooled variance; 0 if all or none are hits."""
    pooled = (a.sum() + b.sum()) / (len(a) + len(b))
    variance = pooled * (1 - pooled) * (1 / len(a) + 1 / len(b))
    return float((a.mean() - b.mean()) / np.sqrt(variance)) if variance > 0 else 0.0


def _share(hits: NDArray[np.bool_]) -> Value:
    return Value(float(hits.mean()), share_error(hits), "standard error over the images, the training set held fixed")


def verdict(z: float, flagged: bool, what: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """The extras of a statistic, and the note if it is flagged."""
    return {"z": z, "flagged": float(flagged)}, ((f"flagged: {what} (z = {z:.1f})",) if flagged else ())
