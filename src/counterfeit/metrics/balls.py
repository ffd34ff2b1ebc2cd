"""Balls around images that reach to the k-th nearest neighbor, and which images of the other set they contain.

The nearest `KEPT` neighbors of every image are stored, and so is every pair of a real and a generated image that lies
within this range. With these, the balls of any half of the images are known without computing another distance
(`halves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics.distances import nearest_others, squared_distances
from counterfeit.metrics.keep import Keep, computed
from counterfeit.metrics.value import Floats

TIE = 1e-10
"""Squared distances that differ by less than this, relatively, count as equal: rounding must not decide < or <=."""

KEPT = 32
"""The chance that fewer than 5 of 32 neighbors are in an image's own half is 1e-5; then the ball holds all 32."""

MOST_PAIRS = 2**22
"""If there are more pairs, which happens with many duplicates, they are not stored."""

CHUNK = 2**15


@dataclass(frozen=True)
class Protocol:
    """The size of the balls, and whether the boundary belongs to them."""

    k: int
    closed: bool

    @property
    def margin(self) -> float:
        return 1 + TIE if self.closed else 1 - TIE

    def within(self, square: Floats, reach: Floats) -> NDArray[np.bool_]:
        """Whether squared distances are within squared radii that include `margin`."""
        return np.less_equal(square, reach) if self.closed else np.less(square, reach)


@dataclass(frozen=True)
class Balls:
    """What the balls around real (N) and fake (M) images contain, for one protocol."""

    real_holds: NDArray[np.bool_]
    """(N,) whether the real image's ball contains any fake."""
    fake_held_by: NDArray[np.intp]
    """(M,) number of real images' balls that contain the fake."""
    real_held: NDArray[np.bool_]
    """(N,) whether the real image is in any fake's ball."""
    k: int
    """k of the real images' balls: the protocol's, or less if there are too few images."""
    notes: tuple[str, ...]


def wanted(protocols: Sequence[Protocol]) -> int:
    """How many neighbors of every image are stored."""
    return max(KEPT, *(7 * p.k for p in protocols))


@dataclass(frozen=True)
class Neighbors:
    """The nearest other images of every image in one set; `KEPT` or more per image, or all if there are fewer."""

    square: Floats
    """(N, K) squared distances, ascending."""
    index: NDArray[np.int32]
    """(N, K) row numbers of these images."""

    @classmethod
    def of(cls, rows: Floats, protocols: Sequence[Protocol]) -> Neighbors:
        return cls(*nearest_others(rows, min(wanted(protocols), len(rows) - 1)))

    def reach(self, protocol: Protocol) -> Floats:
        """Squared radii (N,) of the balls; with fewer than k neighbors, the distance to the last one counts."""
        return self.square[:, min(protocol.k, self.square.shape[1]) - 1] * protocol.margin

    def ranks(self, half: NDArray[np.uint8]) -> NDArray[np.int16]:
        """(N, K) how many neighbors up to this one are in the image's own half, 0 or 1.

        The k-th of them is in column np.count_nonzero(ranks < k, axis=1), which is K if that one is not stored.
        """
        return np.cumsum(half[self.index] == half[:, None], axis=1, dtype=np.int16)


@dataclass(frozen=True)
class Pairs:
    """Pairs (P,) of a ball's owner and an image of the other set, up to the distance of the owner's last neighbor."""

    owner: NDArray[np.int32]
    other: NDArray[np.int32]
    places: Sequence[NDArray[np.uint16]]
    """For each protocol: the first column of the owner's neighbors whose ball contains the other image; K if none does.
    """


@dataclass(frozen=True)
class Filled:
    """The balls of each protocol, and the data from which the balls of halves are computed."""

    balls: Sequence[Balls]
    around: tuple[Neighbors, Neighbors]
    """Neighbors of the real and of the fake images."""
    pairs: tuple[Pairs, Pairs] | None
    """Pairs with a real owner, and pairs with a fake owner; None if either has more than MOST_PAIRS."""


def fill(real: Floats, fake: Floats, protocols: Sequence[Protocol], keep: Keep = computed) -> Filled:
    """Fill the balls around real (N, D) and fake (M, D) images, in three passes over blocks of distances.

    `keep` is asked for the neighbors of the real images, which saves one of them.
    """
    what = f"{wanted(protocols)} nearest neighbors of every real image"
    own = keep(what, ("real",), Neighbors, lambda: Neighbors.of(real, protocols))
    around = own, Neighbors.of(fake, protocols)
    balls = [_empty(len(real), len(fake), p) for p in protocols]
    parts: tuple[list[Pairs], list[Pairs]] | None = ([], [])
    for rows, block in squared_distances(real, fake):
        i, j, of_real = _near(block, around[0].square[rows, -1, None])
        a, b, of_fake = _near(block, around[1].square[:, -1])
        i, a = i + rows.start, a + rows.start
        for protocol, some in zip(protocols, balls, strict=True):
            inside = protocol.within(of_real, around[0].reach(protocol)[i])
            some.real_holds[i[inside]] = True
            some.fake_held_by[:] += np.bincount(j[inside], minlength=len(fake))
            some.real_held[a[protocol.within(of_fake, around[1].reach(protocol)[b])]] = True
        if parts is not None:
            parts[0].append(_pairs(around[0], protocols, i, j, of_real))
            parts[1].append(_pairs(around[1], protocols, b, a, of_fake))
            if max(sum(len(part.owner) for part in side) for side in parts) > MOST_PAIRS:
                parts = None
    return Filled(balls, around, None if parts is None else (_joined(parts[0]), _joined(parts[1])))


def _empty(reals: int, fakes: int, protocol: Protocol) -> Balls:
    k = protocol.k
    real_k, fake_k = min(k, reals - 1), min(k, fakes - 1)
    few = f"k = {real_k} for reals and {fake_k} for fakes, not {k}: too few images"
    return Balls(
        np.zeros(reals, dtype=bool),
        np.zeros(fakes, dtype=np.intp),
        np.zeros(reals, dtype=bool),
        real_k,
        () if real_k == fake_k == k else (few,),
    )


def _near(block: Floats, reach: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Row, column and squared distance (P,) of the pairs in a block that may be within the largest balls."""
    # in numpy, nonzero along one axis is several times faster than along two
    flat = np.flatnonzero((block <= reach * (1 + TIE)).ravel())
    return *np.divmod(flat, block.shape[1]), block.ravel()[flat]


def _pairs(
    around: Neighbors, protocols: Sequence[Protocol], owner: NDArray[np.intp], other: NDArray[np.intp], square: Floats
) -> Pairs:
    """The pairs of a block, each with its column among the owner's neighbors."""
    places = [np.empty(len(owner), dtype=np.uint16) for _ in protocols]
    for start in range(0, len(owner), CHUNK):
        some = slice(start, start + CHUNK)
        reach = around.square[owner[some]]
        for protocol, place in zip(protocols, places, strict=True):
            outside = ~protocol.within(square[some, None], reach * protocol.margin)
            place[some] = np.count_nonzero(outside, axis=1)
    return Pairs(owner.astype(np.int32), other.astype(np.int32), places)


def _joined(parts: Sequence[Pairs]) -> Pairs:
    places = [np.concatenate(of) for of in zip(*(part.places for part in parts), strict=True)]
    return Pairs(np.concatenate([p.owner for p in parts]), np.concatenate([p.other for p in parts]), places)
