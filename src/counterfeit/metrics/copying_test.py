"""C_T, a rank test of the distances to the training images: Meehan et al. 2020 (arXiv:2004.05675)."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics.memorization import FLAG_Z, Nearest, Neighbors, verdict
from counterfeit.metrics.value import RULE_OF_THREE, Floats, Value

Cells = NDArray[np.intp]  # (N,): the cell of each image


def copying_test(found: Neighbors) -> dict[str, Value]:
    """C_T (Meehan et al. 2020, arXiv:2004.05675): are fakes nearer to the training set than real test images are?

    In every cell of feature space: a Mann-Whitney z of the distances to the nearest training image, fakes against
    reference, negative if fakes are nearer. C_T is the mean of z, weighted by the share of the reference in the cell,
    in standard deviations. About 0 is ideal, far below is copying, far above is underfitting. The ± is its standard
    error over both sets of images.

    Test images may differ somewhat in kind from training images (MNIST's are by other writers), and then an honest
    model is nearer to the training set than they are. So `extras["z"]`, which decides the flag, is the milder of two
    values: `z_test` against the reference, and `z_train`, the same test against the distances of training images to
    each other, which are the distances that new images of the training distribution have. Both are in units of their
    standard deviation without copying.
    """
    values = {}
    for label, which in (("C_T", found.fake), ("C_T (test)", found.control)):
        value, spread, error = _cell_mean(which, found.reference)
        extras = {"z_test": value / spread}
        if len(found.train.distance):  # otherwise every training image has a duplicate
            mean, scale, _ = _cell_mean(which, found.train)
            extras["z_train"] = mean / scale
        z = max(extras.values())
        judged, notes = verdict(z, z < -FLAG_Z, "nearer to training images than test and training images are")
        kind = "standard error over generated and test images, the training set held fixed"
        values[label] = Value(value, error, kind, judged | extras, notes)
    return values


def _cell_mean(some: Nearest, reference: Nearest) -> tuple[float, float, float]:
    """Weighted mean of the cells' Mann-Whitney z, its standard deviation if both sets are alike, its standard error."""
    shared = np.intersect1d(some.cell, reference.cell)
    cells = [(some.cell == c, reference.cell == c) for c in shared]
    # A collapsed model may share no cell with the reference: then treat all of space as one cell.
    cells = cells or [(np.ones(len(some.cell), bool), np.ones(len(reference.cell), bool))]
    weights = np.array([b.sum() for _, b in cells], dtype=np.float64)
    weights /= weights.sum()
    found = [_rank_z(some.distance[a], reference.distance[b]) for a, b in cells]
    mean = float(weights @ [z for z, _, _ in found])
    # Influence of one image more or less (infinitesimal jackknife): through its rank, and through its cell's weight.
    by_some, by_reference = np.zeros(len(some.cell)), np.zeros(len(reference.cell))
    least = 0.0
    for (a, b), weight, (z, of_a, of_b) in zip(cells, weights, found, strict=True):
        by_some[a] = weight * of_a
        by_reference[b] = weight * of_b + (z - mean) * weight / b.sum()
        if not np.ptp(of_a) and not np.ptp(of_b):
            # All are on one side, which does not prove that none can be on the other.
            least += (weight * _scale(a.sum(), b.sum()) * RULE_OF_THREE / min(a.sum(), b.sum())) ** 2
    variance = sum(len(by) * by.var(ddof=min(1, len(by) - 1)) for by in (by_some, by_reference))
    variance += _by_chance_of_cells(
        some.cell, reference.cell, mean, dict(zip(shared, (z for z, _, _ in found), strict=False))
    )
    return mean, float(np.sqrt(weights @ weights)), float(max(variance, least) ** 0.5)


def _by_chance_of_cells(some: Cells, reference: Cells, mean: float, z: dict[int, float]) -> float:
    """Variance of the mean due to which cells it includes: a cell without a generated image is left out.

    The expected number of images in a cell with k images is distributed as Gamma(k + 1, 1 + b), where b is the number
    of empty cells divided by the number of cells with one image (plus one). If there are many empty cells but almost
    none with one image, few of the empty ones are empty by chance. For p, the probability that a cell has any image,
    the mean of p (1 - p) is ((1+b)/(2+b))^(k+1) - ((1+b)/(3+b))^(k+1).
    """
    ours, shares = Counter(some.tolist()), Counter(reference.tolist())
    inside = sum(shares[c] for c in z)
    b = sum(ours[c] == 0 for c in shares) / (1 + sum(ours[c] == 1 for c in shares))
    variance = 0.0
    for c, m in shares.items() if z else ():
        k = ours[c]
        if k:
            rest = inside - m
            change = m / rest * (z[c] - mean) if rest else 0.0  # change if the cell were left out
        else:  # the cell would come with one image, on the same side as all others
            change = m / (inside + m) * (np.sign(mean) * _scale(1, m) / 2 - mean)
        variance += (((1 + b) / (2 + b)) ** (k + 1) - ((1 + b) / (3 + b)) ** (k + 1)) * change**2
    return variance


def _rank_z(a: Floats, b: Floats) -> tuple[float, Floats, Floats]:
    """Mann-Whitney z of a (N,) against b (M,), negative if a is smaller, and the influence of every number on z.

    Ties share their ranks. The influences, (N,) and (M,), are the derivatives of z with respect to the number's weight,
    at weight 1.
    """
    n, m = len(a), len(b)
    above, below = _placed(a, b), 1 - _placed(b, a)  # share of b below each a, of a above each b: DeLong et al. 1988
    lead = float(above.mean()) - 0.5
    scale = _scale(n, m)
    of_a = scale * ((above - above.mean()) / n + lead / 2 * (1 / n - 1 / (n + m + 1)))
    of_b = scale * ((below - below.mean()) / m + lead / 2 * (1 / m - 1 / (n + m + 1)))
    return float(scale * lead), of_a, of_b


def _scale(n: int, m: int) -> float:
    """1 / standard deviation of the share of pairs where one number is larger, for n and m of one distribution."""
    return float(np.sqrt(12 * n * m / (n + m + 1)))


def _placed(x: Floats, y: Floats) -> Floats:
    """The share of y (M,) that is below each of x (N,); ties count half."""
    y = np.sort(y)
    return (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")) / (2 * len(y))
