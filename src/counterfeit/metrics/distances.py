"""Squared Euclidean distances between sets of features, in blocks of limited memory, and nearest neighbors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics.blocks import blocks, pieces
from counterfeit.metrics.sieve import Candidates, Sieve, leading_axes
from counterfeit.metrics.value import Floats

ROUNDING = 1e-13
"""A squared distance below this times the squared norm is a rounding error of ‖x‖² + ‖y‖² − 2 x·y: it counts as zero.
"""

STRIDE = 8
"""`nearest_others` first looks at every STRIDE-th number of a row."""

MOST_BELOW = 32
"""Times k: if more numbers of a row are within the bound, many are equal, and the whole block is partitioned instead.
"""


def squared_distances(x: Floats, y: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield (rows, ‖x[rows] − y‖² of shape (len(rows), M)) over x (N, D) for y (M, D), in order.

    All in float64: ‖x‖² + ‖y‖² − 2 x·y suffers from cancellation for close rows, and float32 would leave no correct
    digits. Both sets are centered on y, so that less cancels, and the rest for equal rows is set to exactly 0, so that
    copies are copies. The caller may overwrite a block.
    """
    center = y.mean(axis=0)
    y = y - center
    yy = np.einsum("md,md->m", y, y)
    for rows in blocks(len(x), y):
        some = x[rows] - center
        xx = np.einsum("nd,nd->n", some, some)[:, None]
        block = some @ y.T
        for few in pieces(block):
            piece = block[few]
            piece *= -2
            piece += xx[few]
            piece += yy
            piece[piece < ROUNDING * xx[few]] = 0.0
        yield rows, block


def nearest_others(x: Floats, k: int) -> tuple[Floats, NDArray[np.int32]]:
    """Squared distances (N, k), ascending, of every row of x (N, D) to its k nearest other rows, and their indices.

    A copy counts, at distance 0. The small values among every STRIDE-th number give a bound. In most rows at least k
    numbers of the whole row are within the bound, and not many more, and only these are sorted. The remaining rows are
    partitioned in full.
    """
    square, index = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.int32)
    for rows, block in squared_distances(x, x):
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        index[rows] = _smallest(block, k)
        square[rows] = np.take_along_axis(block, index[rows], axis=1)
    return square, index


def _smallest(block: Floats, k: int) -> NDArray[np.intp]:
    """The columns (n, k) of the k smallest numbers of every row of a block (n, N), in ascending order."""
    nth = k // STRIDE + 6
    sample = block[:, ::STRIDE]
    if sample.shape[1] <= nth:
        return _sorted(block, np.argpartition(block, k - 1, axis=1)[:, :k])
    bound = np.partition(sample, nth, axis=1)[:, nth]
    row, column = np.divmod(np.flatnonzero((block <= bound[:, None]).ravel()), block.shape[1])
    counts = np.bincount(row, minlength=len(block))
    width = int(counts.max())
    if not k <= width <= MOST_BELOW * k:
        return _sorted(block, np.argpartition(block, k - 1, axis=1)[:, :k])
    first = np.cumsum(counts) - counts
    # The rows have different numbers of candidates: pad with the last candidate, which is then sorted behind all
    # others.
    places = np.minimum(first[:, None] + np.arange(width), (first + counts - 1)[:, None])
    candidates = column[places]
    square = np.take_along_axis(block, candidates, axis=1)
    square[np.arange(width) >= counts[:, None]] = np.inf
    found = np.take_along_axis(candidates, np.argsort(square, axis=1, kind="stable")[:, :k], axis=1)
    short = counts < k
    if short.any():
        some = block[short]
        found[short] = _sorted(some, np.argpartition(some, k - 1, axis=1)[:, :k])
    return found


def _sorted(block: Floats, columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Sort the columns (n, k) of each row of a block by the numbers in them."""
    order = np.argsort(np.take_along_axis(block, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def nearest(x: Floats, y: Floats, but: NDArray[np.intp] | None = None) -> tuple[Floats, NDArray[np.intp]]:
    """Distance (N,) of every row of x (N, D) to the nearest row of y (M, D), and the index (N,) of that row.

    `but` (N,) excludes one row of y for every row of x, such as the row itself.

    A sieve finds the few rows of y that can be the nearest, several times faster than float64 products would; for these
    the differences are then computed in float64. If the coarse sieve leaves too many rows, a fine one is tried.
    """
    unit = max(_longest(x, y), _longest(y, y)) or 1.0
    axes = leading_axes(len(x), y)
    coarse = None if axes is None else Sieve(y, unit, axes)
    fine = cache(lambda: Sieve(y, unit))
    distance, index = np.empty(len(x)), np.empty(len(x), dtype=np.intp)
    for rows in blocks(len(x), y):
        some, skipped = x[rows], None if but is None else but[rows]
        pairs = coarse and coarse.candidates(some, skipped)
        pairs = pairs or fine().candidates(some, skipped)
        if pairs is not None:
            distance[rows], index[rows] = _nearest_of(pairs, some, y)
        else:  # many equal rows
            ((_, block),) = squared_distances(some, y)
            if skipped is not None:
                block[np.arange(len(block)), skipped] = np.inf
            index[rows] = block.argmin(axis=1)
            distance[rows] = np.sqrt(block[np.arange(len(block)), index[rows]])
    return distance, index


def _longest(x: Floats, y: Floats) -> float:
    """The largest norm of a row of x (N, D) after subtracting the mean of y."""
    center = y.mean(axis=0)
    return max(float(np.square(x[some] - center).sum(axis=1).max()) for some in pieces(x)) ** 0.5


def _nearest_of(pairs: Candidates, x: Floats, y: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Distance (N,) of every row of x to the nearest of its candidates, and the row of y that this is."""
    place, candidate = pairs
    square = np.square(x[place] - y[candidate]).sum(axis=1)
    first = np.searchsorted(place, np.arange(len(x)))
    best = np.minimum.reduceat(square, first)
    hits = np.flatnonzero(square == best[place])
    return np.sqrt(best), candidate[hits[np.searchsorted(place[hits], np.arange(len(x)))]]
