"""Squared Euclidean distances between sets of features, in blocks of limited memory, and nearest neighbors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics.value import Floats

BLOCK_NUMBERS = 2**23
"""Distances held in memory at once: 64 MiB of float64."""

ROUNDING = 1e-13
"""A squared distance below this times the squared norm is a rounding error of ‖x‖² + ‖y‖² − 2 x·y: it counts as zero.
"""

STRIDE = 8
"""`nearest_others` first looks at every STRIDE-th number of a row."""

MOST_BELOW = 32
"""Times k: if more numbers of a row are within the bound, many are equal, and the whole block is partitioned instead.
"""

MOST_CANDIDATES = 32
"""Number of rows of y, per row of x on average, that are compared in float64; fewer if rows are so long that they would
take more than four blocks. With more candidates, float64 throughout is faster."""


def squared_distances(x: Floats, y: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield (rows, ‖x[rows] − y‖² of shape (len(rows), M)) over x (N, D) for y (M, D), in order.

    All in float64: ‖x‖² + ‖y‖² − 2 x·y suffers from cancellation for close rows, and float32 would leave no correct
    digits. Both sets are centered on y, so that less cancels, and the rest for equal rows is set to exactly 0, so that
    copies are copies. The caller may overwrite a block.
    """
    center = y.mean(axis=0)
    y = y - center
    yy = np.einsum("md,md->m", y, y)
    for rows in _blocks(len(x), y):
        some = x[rows] - center
        xx = np.einsum("nd,nd->n", some, some)[:, None]
        block = some @ y.T
        block *= -2
        block += xx
        block += yy
        block[block < ROUNDING * xx] = 0.0
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

    float32 products find the few rows of y that can be the nearest, twice as fast as float64 products; for these the
    differences are then computed in float64. The bound on the float32 error is strict, so nothing is missed: for D + 1
    products and their sum it is (D + 8) u Σ|terms| with u = 2⁻²⁴ (Higham 2002, section 3.1; this includes the rounding
    of the inputs).
    """
    center = y.mean(axis=0)
    x_norm, y_norm = (np.sqrt(np.einsum("nd,nd->n", rows - center, rows - center)) for rows in (x, y))
    # float32 overflows at 1e38, and features may be 1e30: measure everything in units of the longest row.
    unit = max(float(x_norm.max()), float(y_norm.max())) or 1.0
    x_norm, y_norm = x_norm / unit, y_norm / unit
    width = y_norm.max()
    error = (y.shape[1] + 8) * 2.0**-24 * (2 * x_norm * width + width**2) + 1e-30
    low_y = _low((y - center) / unit, y_norm**2)
    distance, index = np.empty(len(x)), np.empty(len(x), dtype=np.intp)
    for rows in _blocks(len(x), y):
        some = x[rows]
        # ‖y‖² − 2 x·y, which has the same order over the rows of y as the distances
        low = _low(-2 * (some - center) / unit, np.ones(len(some))) @ low_y.T
        if but is not None:
            low[np.arange(len(low)), but[rows]] = np.inf
        reach = np.nextafter((low.min(axis=1) + 2 * error[rows]).astype(np.float32), np.float32(np.inf))
        within = low <= reach[:, None]
        room = max(2 * len(some), min(MOST_CANDIDATES * len(some), 4 * BLOCK_NUMBERS // y.shape[1]))
        if np.count_nonzero(within) <= room:
            # in numpy, nonzero along one axis is several times faster than along two
            place, candidate = np.divmod(np.flatnonzero(within.ravel()), len(y))
            square = np.square(some[place] - y[candidate]).sum(axis=1)
            first = np.searchsorted(place, np.arange(len(some)))
            best = np.minimum.reduceat(square, first)
            hits = np.flatnonzero(square == best[place])
            chosen = hits[np.searchsorted(place[hits], np.arange(len(some)))]
            distance[rows], index[rows] = np.sqrt(best), candidate[chosen]
        else:  # many equal rows
            ((_, block),) = squared_distances(some, y)
            if but is not None:
                block[np.arange(len(block)), but[rows]] = np.inf
            index[rows] = block.argmin(axis=1)
            distance[rows] = np.sqrt(block[np.arange(len(block)), index[rows]])
    return distance, index


def _low(rows: Floats, last: Floats) -> NDArray[np.float32]:
    """float32 (N, D + 1): rows (N, D) with one more column."""
    low = np.empty((len(rows), rows.shape[1] + 1), dtype=np.float32)
    low[:, :-1], low[:, -1] = rows, last
    return low


def _blocks(count: int, y: Floats) -> Iterator[slice]:
    """Yield slices of rows such that their distances to all of y (M, D) are at most BLOCK_NUMBERS."""
    step = max(1, BLOCK_NUMBERS // max(y.shape))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
