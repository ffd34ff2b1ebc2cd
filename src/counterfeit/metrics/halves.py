"""Standard errors of statistics of the balls of two sets, from random halves of both sets.

A share of balls is not a mean over independent images: a ball's radius depends on other images, and one ball may decide
about many. So both sets are split into random halves A and B, which are independent draws. The statistic T of the four
pairs of halves forms a 2 x 2 layout with the effects

    R = (T_AA + T_AB − T_BA − T_BB) / 2,  F = (T_AA − T_AB + T_BA − T_BB) / 2,  I = (T_AA − T_AB − T_BA + T_BB) / 2

whose mean squares are 2 V_real + V_both, 2 V_fake + V_both and V_both: the analysis of variance, exact for every T.
V_real, V_fake and V_both are the parts of the variance of T at half the images. Their sum is (R² + F²) / 2. At all
images the variance is half of that, because the number of neighbors stays the same and the variance falls as 1/n. With
the real set fixed, V_fake + V_both remains, which is half of (F² + I²) / 2. All are means over `SPLITS` splits.

The halves are compared with each other, and not with the whole as in a delete-half jackknife, which overestimates the
error of nonlinear statistics. A bootstrap would repeat images, which would then have neighbors at distance 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics.balls import Filled, Pairs, Protocol, fill
from counterfeit.metrics.value import Floats

SPLITS = 50
"""With this many, the standard error has a relative error of about one tenth."""

Half = NDArray[np.uint8]
"""0 or 1 for every image of a set (N,)."""


@dataclass(frozen=True)
class Error:
    """A standard error from the sampling of both sets, and from the sampling of one set with the other fixed."""

    both: float
    real: float
    fake: float
    mean: float
    """Mean of the statistic over the halves."""

    def of_share(self, share: float, count: int) -> Error:
        """Adapt the error to a share of `count` images that differs from its mean over the halves.

        Balls of half the images are larger and contain more. The variance of a share is proportional to p (1 − p), so
        the error is scaled accordingly; half an image is added to hits and to misses, to avoid 0.
        """
        whole, half = ((p * count + 0.5) / (count + 1) for p in (share, self.mean))
        scale = float(np.sqrt(whole * (1 - whole) / (half * (1 - half))))
        return Error(self.both * scale, self.real * scale, self.fake * scale, share)

    def with_real(self, known: float) -> Error:
        """Use a known value for the part with the generated images fixed; what the other set adds stays the same."""
        both = float(np.hypot(known, np.sqrt(max(0.0, self.both**2 - self.real**2))))
        return Error(both, known, self.fake, self.mean)

    def with_fake(self, known: float) -> Error:
        """Use a known value for the part with the real images fixed."""
        both = float(np.hypot(known, np.sqrt(max(0.0, self.both**2 - self.fake**2))))
        return Error(both, self.real, known, self.mean)


def errors(
    real: Floats, fake: Floats, protocols: Sequence[Protocol], filled: Filled, rng: np.random.RandomState
) -> list[Mapping[str, Error]]:
    """Errors of `precision`, `recall`, `density` and `coverage` by protocol; empty for sets of fewer than 4 images.

    Sets with too many pairs, which have many duplicates, are halved until there are few enough pairs; the variance of
    the smaller sets is then scaled by 1/n.
    """
    scale = 1.0
    while filled.pairs is None:
        real, fake = (rows[rng.permutation(len(rows))[: len(rows) // 2]] for rows in (real, fake))
        filled, scale = fill(real, fake, protocols), scale / 2
    if min(len(real), len(fake)) < 4:
        return [{} for _ in protocols]
    layouts = [_layout(filled, protocols, _halves(len(real), rng), _halves(len(fake), rng)) for _ in range(SPLITS)]
    return [
        {name: _error(np.stack([layout[p][name] for layout in layouts]), scale) for name in layouts[0][p]}
        for p in range(len(protocols))
    ]


def _error(t: Floats, scale: float) -> Error:
    """The standard error from T (SPLITS, real half, fake half)."""
    (aa, ab), (ba, bb) = t.transpose(1, 2, 0)
    of_real, of_fake, of_both = (
        float(np.mean(np.square(effect / 2))) for effect in (aa + ab - ba - bb, aa - ab + ba - bb, aa - ab - ba + bb)
    )
    sums = of_real + of_fake, of_real + of_both, of_fake + of_both
    both, real, fake = (float(np.sqrt(scale * squares / 4)) for squares in sums)
    return Error(both, real, fake, float(t.mean()))


def _halves(count: int, rng: np.random.RandomState) -> Half:
    half = np.zeros(count, dtype=np.uint8)
    half[rng.permutation(count)[: count // 2]] = 1
    return half


def _layout(filled: Filled, protocols: Sequence[Protocol], real: Half, fake: Half) -> list[dict[str, Floats]]:
    """For each protocol, the statistics of the four pairs of halves, (real half, fake half)."""
    assert filled.pairs is not None
    (near_real, near_fake), (around_real, around_fake) = filled.around, filled.pairs
    ranks_real, ranks_fake = near_real.ranks(real), near_fake.ranks(fake)
    layouts = []
    for p, protocol in enumerate(protocols):
        held_by, holds = _counts(around_real, p, ranks_real, _fewest(protocol.k, real), real, fake)
        real_held_by, _ = _counts(around_fake, p, ranks_fake, _fewest(protocol.k, fake), fake, real)
        layouts.append(
            {
                "precision": _means(held_by > 0, fake),
                "recall": _means(real_held_by > 0, real).T,
                "density": _means(held_by / _fewest(protocol.k, real), fake),
                "coverage": _means(holds > 0, real).T,
            }
        )
    return layouts


def _fewest(k: int, half: Half) -> int:
    """k, or less if the smaller half has too few images."""
    return min(k, len(half) // 2 - 1)


def _counts(
    pairs: Pairs, protocol: int, ranks: NDArray[np.int16], k: int, own: Half, others: Half
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(2, M): number of balls of each half of the owners that hold an image; (2, N): images of each half in a ball."""
    reach = np.count_nonzero(ranks < k, axis=1)
    inside = np.flatnonzero(pairs.places[protocol] <= reach[pairs.owner])
    owner, other = pairs.owner[inside], pairs.other[inside]
    held_by = np.bincount(own[owner].astype(np.intp) * len(others) + other, minlength=2 * len(others))
    holds = np.bincount(others[other].astype(np.intp) * len(own) + owner, minlength=2 * len(own))
    return held_by.reshape(2, -1), holds.reshape(2, -1)


def _means(by_half: NDArray[np.generic], half: Half) -> Floats:
    """(2, 2): means of each row (2, N) over either half of its columns."""
    return np.stack([by_half[:, half == h].mean(axis=1) for h in (0, 1)], axis=1)
