"""Squared Euclidean distances between sets of features, in blocks of bounded memory, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from counterfeit.metrics.value import Floats

BLOCK_NUMBERS = 2**22
"""Distances held at once: 32 MiB of float64."""

ROUNDING = 1e-13
"""A squared distance below this times the squared norm is the rounding of ‖x‖² + ‖y‖² − 2 x·y: it is zero."""


def squared_distances(x: Floats, y: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield (rows, ‖x[rows] − y‖² of shape (len(rows), M)) over x (N, D) for y (M, D), in order.

    float64 throughout: ‖x‖² + ‖y‖² − 2 x·y cancels for close rows, in float32 down to no digits. Both sets are centred
    on y, which leaves less to cancel, and what is left of equal rows is set to exactly 0, so that copies are copies.
    A block may be overwritten by the caller.
    """
    centre = y.mean(axis=0)
    y = y - centre
    yy = np.einsum("md,md->m", y, y)
    step = max(1, BLOCK_NUMBERS // max(y.shape))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        some = x[rows] - centre
        xx = np.einsum("nd,nd->n", some, some)[:, None]
        block = some @ y.T
        block *= -2
        block += xx
        block += yy
        block[block < ROUNDING * xx] = 0.0
        yield rows, block


def neighbour_radii(x: Floats, k: int) -> Floats:
    """Squared distance (N,) of every row of x (N, D) to its k-th nearest other row; a duplicate counts, at 0."""
    radii = np.empty(len(x))
    for rows, block in squared_distances(x, x):
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        block.partition(k - 1, axis=1)
        radii[rows] = block[:, k - 1]
    return radii


def nearest(x: Floats, y: Floats) -> tuple[Floats, np.ndarray]:
    """Distance (N,) of every row of x (N, D) to the nearest row of y (M, D), and that row's index (N,)."""
    distance, index = np.empty(len(x)), np.empty(len(x), dtype=np.intp)
    for rows, block in squared_distances(x, y):
        index[rows] = block.argmin(axis=1)
        distance[rows] = np.sqrt(block[np.arange(len(block)), index[rows]])
    return distance, index


def nearest_other(y: Floats, chosen: np.ndarray) -> Floats:
    """Distance (len(chosen),) of the rows `chosen` (indices) of y (M, D) to the nearest other row of y."""
    distance = np.empty(len(chosen))
    for rows, block in squared_distances(y[chosen], y):
        block[np.arange(len(block)), chosen[rows]] = np.inf
        distance[rows] = np.sqrt(block.min(axis=1))
    return distance
