"""Precision and recall, density and coverage: how much of each set lies in the other's k-nearest-neighbour balls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.metrics.distances import neighbour_radii, squared_distances
from counterfeit.metrics.value import Value, as_pair

TIE = 1e-10
"""Squared distances this near, relatively, are equal: rounding must not decide between < and <=."""


@dataclass(frozen=True)
class Protocol:
    """How large a ball is, and whether its edge belongs to it."""

    k: int
    closed: bool


KYNKAANNIEMI = Protocol(3, closed=True)
NAEEM = Protocol(5, closed=False)


@dataclass(frozen=True)
class Balls:
    """What the balls around real (N) and fake (M) images hold; the sums of these give every number here."""

    real_holds: NDArray[np.bool_]
    """(N,) a real image's ball holds any fake."""
    fake_held_by: NDArray[np.intp]
    """(M,) in how many real images' balls a fake lies."""
    real_held: NDArray[np.bool_]
    """(N,) a real image lies in any fake's ball."""
    k: int
    """Of the real images' balls: the protocol's, or less where there are too few images."""
    notes: tuple[str, ...]


def precision_recall(real: ArrayLike, fake: ArrayLike, *, k: int = KYNKAANNIEMI.k) -> dict[str, Value]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991) of real (N, D) and fake (M, D).

    Precision: share of fakes within (<=) a real image's distance to its k-th nearest other real image. Recall: share
    of reals within the same of a fake. Both in [0, 1], higher is better; as in torch-fidelity.
    Raises InputError (fewer than 2 images, numbers that are not finite, columns that differ).
    """
    return precision_recall_of(*fill(real, fake, Protocol(k, closed=True)))


def precision_recall_of(balls: Balls) -> dict[str, Value]:
    """`precision_recall`, from closed balls."""
    return {
        "Precision": _mean(balls.fake_held_by > 0, "fakes", "reals", balls.notes),
        "Recall": _mean(balls.real_held, "reals", "fakes", balls.notes),
    }


def prdc(real: ArrayLike, fake: ArrayLike, *, k: int = NAEEM.k) -> dict[str, Value]:
    """Precision, recall, density and coverage (Naeem et al. 2020, arXiv:2002.09797) of real (N, D) and fake (M, D).

    Balls are open (<), unlike in `precision_recall`; as in the package prdc, to which the first two names belong.
    Density: mean number of real balls that a fake lies in, over k, in [0, N/k]; 1 is expected of a perfect model.
    Coverage: share of real balls that hold a fake, in [0, 1]; a perfect model's is about 1 − 2^-k at N = M.
    Raises InputError as `precision_recall` does.
    """
    return prdc_of(*fill(real, fake, Protocol(k, closed=False)))


def prdc_of(balls: Balls) -> dict[str, Value]:
    """`prdc`, from open balls."""
    return {
        "PRDC-precision": _mean(balls.fake_held_by > 0, "fakes", "reals", balls.notes),
        "PRDC-recall": _mean(balls.real_held, "reals", "fakes", balls.notes),
        "Density": _mean(balls.fake_held_by / balls.k, "fakes", "reals", balls.notes),
        "Coverage": _mean(balls.real_holds, "reals", "fakes", balls.notes),
    }


def fill(real: ArrayLike, fake: ArrayLike, *protocols: Protocol) -> list[Balls]:
    """Fill the balls of each protocol: three passes over blocks of distances, shared by all, none of which is kept.

    Raises InputError (fewer than 2 images, numbers that are not finite, columns that differ).
    """
    real, fake = as_pair(real, fake)
    real_ks, fake_ks = ([min(p.k, len(rows) - 1) for p in protocols] for rows in (real, fake))
    margins = np.array([[1 + TIE if p.closed else 1 - TIE] for p in protocols])
    real_reach, fake_reach = neighbour_radii(real, real_ks) * margins, neighbour_radii(fake, fake_ks) * margins
    balls = [
        Balls(
            np.zeros(len(real), dtype=bool),
            np.zeros(len(fake), dtype=np.intp),
            np.zeros(len(real), dtype=bool),
            real_k,
            ()
            if real_k == fake_k == p.k
            else (f"k = {real_k} for reals and {fake_k} for fakes, not {p.k}: too few images",),
        )
        for p, real_k, fake_k in zip(protocols, real_ks, fake_ks, strict=True)
    ]
    for rows, block in squared_distances(real, fake):
        for i, protocol in enumerate(protocols):
            within = np.less_equal if protocol.closed else np.less
            inside = within(block, real_reach[i, rows, None])
            balls[i].real_holds[rows] = inside.any(axis=1)
            balls[i].fake_held_by[:] += np.count_nonzero(inside, axis=0)
            balls[i].real_held[rows] = within(block, fake_reach[i]).any(axis=1)
    return balls


def _mean(hits: np.ndarray, over: str, fixed: str, notes: tuple[str, ...]) -> Value:
    """The mean of hits (N,), and its standard error."""
    error = float(hits.std(ddof=1) / np.sqrt(len(hits)))
    return Value(float(hits.mean()), error, f"standard error over the {over}, the {fixed} held fixed", {}, notes)
