"""C_T, a rank test of the distances to the training images: Meehan et al. 2020 (arXiv:2004.05675)."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics.memorisation import FLAG_Z, Nearest, Neighbours, verdict
from counterfeit.metrics.value import RULE_OF_THREE, Floats, Value

Cells = NDArray[np.intp]  # (N,): of each image


def copying_test(found: Neighbours) -> dict[str, Value]:
    """C_T (Meehan et al. 2020, arXiv:2004.05675): are fakes nearer to the training set than real test images are?

    In every cell of feature space a Mann-Whitney z of the distances to the nearest training image, fakes against
    reference, below 0 where fakes are nearer; C_T is their mean weighted by the reference's share of the cell, in
    standard deviations. About 0 is right, far below is copying, far above is underfitting. The ± is its standard error
    over both sets of images.

    Test images may be of a somewhat other kind than training images (MNIST's are by other writers), and then an honest
    model is nearer to the training set than they are. So `extras["z"]`, which flags, is the milder of two: `z_test`
    against the reference, and `z_train` by the same test against the distances of training images to each other, which
    are those that new images of the training distribution have. Both are in their standard deviations without copying.
    """
    values = {}
    for label, which in (("C_T", found.fake), ("C_T (test)", found.control)):
        value, spread, error = _cell_mean(which, found.reference)
        extras = {"z_test": value / spread}
        if len(found.train.distance):  # else every training image is there twice
            mean, scale, _ = _cell_mean(which, found.train)
            extras["z_train"] = mean / scale
        z = max(extras.values())
        judged, notes = verdict(z, z < -FLAG_Z, "nearer to training images than test and training images are")
        kind = "standard error over generated and test images, the training set held fixed"
        values[label] = Value(value, error, kind, judged | extras, notes)
    return values


def _cell_mean(some: Nearest, reference: Nearest) -> tuple[float, float, float]:
    """The weighted mean of the cells' Mann-Whitney z, its standard deviation where both sets are alike, its error."""
    shared = np.intersect1d(some.cell, reference.cell)
    cells = [(some.cell == c, reference.cell == c) for c in shared]
    # A collapsed model may share no cell with the reference: then all of space is one.
    cells = cells or [(np.ones(len(some.cell), bool), np.ones(len(reference.cell), bool))]
    weights = np.array([b.sum() for _, b in cells], dtype=np.float64)
    weights /= weights.sum()
    found = [_rank_z(some.distance[a], reference.distance[b]) for a, b in cells]
    mean = float(weights @ [z for z, _, _ in found])
    # What one image more or less would change (infinitesimal jackknife): by its rank, and by its cell's weight.
    by_some, by_reference = np.zeros(len(some.cell)), np.zeros(len(reference.cell))
    least = 0.0
    for (a, b), weight, (z, of_a, of_b) in zip(cells, weights, found, strict=True):
        by_some[a] = weight * of_a
        by_reference[b] = weight * of_b + (z - mean) * weight / b.sum()
        if not np.ptp(of_a) and not np.ptp(of_b):
            # All are on one side, which does not say that none ever is on the other.
            least += (weight * _scale(a.sum(), b.sum()) * RULE_OF_THREE / min(a.sum(), b.sum())) ** 2
    variance = sum(len(by) * by.var(ddof=min(1, len(by) - 1)) for by in (by_some, by_reference))
    variance += _by_chance_of_cells(
        some.cell, reference.cell, mean, dict(zip(shared, (z for z, _, _ in found), strict=False))
    )
    return mean, float(np.sqrt(weights @ weights)), float(max(variance, least) ** 0.5)


def _by_chance_of_cells(some: Cells, reference: Cells, mean: float, z: dict[int, float]) -> float:
    """The variance of the mean by which cells are in it: one that no generated image fell into is not.

    With k images in a cell, their expected number is distributed as Gamma(k + 1, 1 + b), where b is how many cells are
    empty over how many have one image (and one more): of many empty cells, few are so by chance if next to none has one
    image. The mean of p (1 - p), for the chance p of having any, is ((1+b)/(2+b))^(k+1) - ((1+b)/(3+b))^(k+1).
    """
    ours, shares = Counter(some.tolist()), Counter(reference.tolist())
    inside = sum(shares[c] for c in z)
    b = sum(ours[c] == 0 for c in shares) / (1 + sum(ours[c] == 1 for c in shares))
    variance = 0.0
    for c, m in shares.items() if z else ():
        k = ours[c]
        if k:
            rest = inside - m
            change = m / rest * (z[c] - mean) if rest else 0.0  # what leaving it out would take away
        else:  # it would come with one image, on the side of all the others
            change = m / (inside + m) * (np.sign(mean) * _scale(1, m) / 2 - mean)
        variance += (((1 + b) / (2 + b)) ** (k + 1) - ((1 + b) / (3 + b)) ** (k + 1)) * change**2
    return variance


def _rank_z(a: Floats, b: Floats) -> tuple[float, Floats, Floats]:
    """Mann-Whitney z of a (N,) against b (M,), below 0 where a is smaller, and each number's influence on it.

    Equal numbers share their ranks. The influence (N,) and (M,) is the derivative of z by the number's weight, in 1.
    """
    n, m = len(a), len(b)
    above, below = _placed(a, b), 1 - _placed(b, a)  # of b under each of a, and of a over each of b: DeLong et al. 1988
    lead = float(above.mean()) - 0.5
    scale = _scale(n, m)
    of_a = scale * ((above - above.mean()) / n + lead / 2 * (1 / n - 1 / (n + m + 1)))
    of_b = scale * ((below - below.mean()) / m + lead / 2 * (1 / m - 1 / (n + m + 1)))
    return float(scale * lead), of_a, of_b


def _scale(n: int, m: int) -> float:
    """One over the standard deviation of the share of pairs where one number is above the other, of n and m alike."""
    return float(np.sqrt(12 * n * m / (n + m + 1)))


def _placed(x: Floats, y: Floats) -> Floats:
    """The share of y (M,) that is below each of x (N,), equal ones half."""
    y = np.sort(y)
    return (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")) / (2 * len(y))
