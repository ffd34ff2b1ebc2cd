"""Precision and recall, density and coverage: how much of each set lies in the other's k-nearest-neighbour balls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.metrics.distances import neighbour_radii, squared_distances
from counterfeit.metrics.value import Floats, Value, as_pair

TIE = 1e-10
"""Squared distances this near, relatively, are equal: rounding must not decide between < and <=."""


@dataclass(frozen=True)
class Balls:
    """What the balls around real (N) and fake (M) images hold; the sums of these give every number here."""

    real_holds: NDArray[np.bool_]
    """(N,) a real image's ball holds any fake."""
    fake_held_by: NDArray[np.intp]
    """(M,) in how many real images' balls a fake lies."""
    real_held: NDArray[np.bool_]
    """(N,) a real image lies in any fake's ball."""


def precision_recall(real: ArrayLike, fake: ArrayLike, *, k: int = 3) -> dict[str, Value]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991) of real (N, D) and fake (M, D).

    Precision: share of fakes within (<=) a real image's distance to its k-th nearest other real image. Recall: share
    of reals within the same of a fake. Both in [0, 1], higher is better; as in torch-fidelity.
    Raises InputError (fewer than 2 images, numbers that are not finite, columns that differ).
    """
    real, fake = as_pair(real, fake)
    balls, notes = _balls(real, fake, k, closed=True)
    return {
        "Precision": _mean(balls.fake_held_by > 0, "fakes", "reals", notes),
        "Recall": _mean(balls.real_held, "reals", "fakes", notes),
    }


def prdc(real: ArrayLike, fake: ArrayLike, *, k: int = 5) -> dict[str, Value]:
    """Precision, recall, density and coverage (Naeem et al. 2020, arXiv:2002.09797) of real (N, D) and fake (M, D).

    Balls are open (<), unlike in `precision_recall`; as in the package prdc, to which the first two names belong.
    Density: mean number of real balls that a fake lies in, over k, in [0, N/k]; 1 is expected of a perfect model.
    Coverage: share of real balls that hold a fake, in [0, 1]; a perfect model's is about 1 − 2^-k at N = M.
    Raises InputError as `precision_recall` does.
    """
    real, fake = as_pair(real, fake)
    balls, notes = _balls(real, fake, k, closed=False)
    used = min(k, len(real) - 1)
    return {
        "PRDC-precision": _mean(balls.fake_held_by > 0, "fakes", "reals", notes),
        "PRDC-recall": _mean(balls.real_held, "reals", "fakes", notes),
        "Density": _mean(balls.fake_held_by / used, "fakes", "reals", notes),
        "Coverage": _mean(balls.real_holds, "reals", "fakes", notes),
    }


def _balls(real: Floats, fake: Floats, k: int, closed: bool) -> tuple[Balls, tuple[str, ...]]:
    """Fill the balls: three passes over blocks of distances, none of which is kept."""
    real_k, fake_k = min(k, len(real) - 1), min(k, len(fake) - 1)
    small = f"k = {real_k} for reals and {fake_k} for fakes, not {k}: too few images"
    notes = () if real_k == fake_k == k else (small,)
    within, margin = (np.less_equal, 1 + TIE) if closed else (np.less, 1 - TIE)
    real_reach, fake_reach = neighbour_radii(real, real_k) * margin, neighbour_radii(fake, fake_k) * margin
    real_holds, real_held = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    fake_held_by = np.zeros(len(fake), dtype=np.intp)
    for rows, block in squared_distances(real, fake):
        inside = within(block, real_reach[rows, None])
        real_holds[rows] = inside.any(axis=1)
        fake_held_by += inside.sum(axis=0)
        real_held[rows] = within(block, fake_reach).any(axis=1)
    return Balls(real_holds, fake_held_by, real_held), notes


def _mean(hits: np.ndarray, over: str, fixed: str, notes: tuple[str, ...]) -> Value:
    """The mean of hits (N,), and its standard error."""
    error = float(hits.std(ddof=1) / np.sqrt(len(hits)))
    return Value(float(hits.mean()), error, f"standard error over the {over}, the {fixed} held fixed", {}, notes)
