"""Which rows can be the nearest? Strict bounds by float32 products of shortened rows, so that nothing is missed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterfeit.metrics import blocks
from counterfeit.metrics.value import Floats

MOST_CANDIDATES = 128
"""Number of rows of y, per row of x on average, that are compared in float64; fewer if rows are so long that they would
take more than four blocks. With more candidates, float64 throughout is faster."""

SHARE = 0.95
"""Share of the variance that the leading axes hold. With this share, 10 to 30 of 60,000 rows remain."""

PAYS = 100
"""Axes are looked for if there are more pairs of rows than this times D²; finding them takes about 30 D³ products."""

ROWS_PER_COLUMN = 8
"""The axes come from this many rows per column: any axes are right, and good ones save time."""

Candidates = tuple[NDArray[np.intp], NDArray[np.intp]]


class Sieve:
    """Finds the rows of y (M, D) that can be the nearest to rows of x.

    A row is shortened to its numbers along `axes` (D, d) and the length of the rest. Norms stay the same, products of
    two rows do not become smaller (Cauchy & Schwarz), and so distances do not become larger. Without axes, rows stay as
    they are. The error of a float32 product of T terms is at most (T + 8) u Σ|terms| with u = 2⁻²⁴ (Higham 2002,
    section 3.1; this includes the rounding of the inputs, and that of the length of the rest, a difference of squares).

    Args:
        y: the rows.
        unit: the largest norm of a row of x or y, after subtracting the mean of y. float32 overflows at 1e38, and
            features may be 1e30: everything is measured in this unit.
        axes: orthonormal columns; None for all of space.
    """

    def __init__(self, y: Floats, unit: float, axes: Floats | None = None) -> None:
        self._y, self._unit, self._axes, self._center = y, unit, axes, y.mean(axis=0)
        self._low, norms = self._shortened(y, 1.0)
        self._low[:, -1] = np.square(norms)
        self._width = float(norms.max())

    def candidates(self, x: Floats, but: NDArray[np.intp] | None = None) -> Candidates | None:
        """Every pair (P,) of a row of x (N, D) and one of y that may be its nearest, in order; None if there are many.

        `but` (N,) excludes one row of y for every row of x.
        """
        every = np.arange(len(x))
        some, norms = self._shortened(x, -2.0)
        some[:, -1] = 1
        low = some @ self._low.T  # ‖y‖² − 2 x·y, which has the same order over the rows of y as the distances
        if but is not None:
            low[every, but] = np.inf
        terms = some.shape[1]
        error = (terms + 8) * 2.0**-24 * (2 * norms * self._width + self._width**2) + 1e-30
        guess = low.argmin(axis=1)
        exact = np.square((x - self._y[guess]) / self._unit).sum(axis=1) - np.square(norms)
        error += (x.shape[1] + 8) * 2.0**-52 * np.square(norms + self._width)  # of `exact`
        reach = np.nextafter((exact + error).astype(np.float32), np.float32(np.inf))
        within = low <= reach[:, None]
        room = max(2 * len(x), min(MOST_CANDIDATES * len(x), 4 * blocks.BLOCK_NUMBERS // x.shape[1]))
        if np.count_nonzero(within) > room:
            return None
        # in numpy, nonzero along one axis is several times faster than along two
        place, candidate = np.divmod(np.flatnonzero(within.ravel()), len(self._y))
        return place, candidate

    def _shortened(self, rows: Floats, times: float) -> tuple[NDArray[np.float32], Floats]:
        """float32 (N, d + 2), the shortened rows times a number and an empty column; and the rows' norms (N,)."""
        count, columns = rows.shape
        short = columns if self._axes is None else self._axes.shape[1] + 1
        low, norms = np.empty((count, short + 1), np.float32), np.empty(count)
        for some in blocks.slices(count, 8 * blocks.PIECE_NUMBERS // columns):
            part = (rows[some] - self._center) / self._unit
            square = np.einsum("nd,nd->n", part, part)
            norms[some] = np.sqrt(square)
            if self._axes is not None:
                part = part @ self._axes
                rest = np.sqrt(np.maximum(0.0, square - np.einsum("nd,nd->n", part, part)))
                low[some, -2] = times * rest
            low[some, : part.shape[1]] = times * part
        return low, norms


def leading_axes(count: int, y: Floats) -> Floats | None:
    """The principal axes (D, d) that hold SHARE of the variance of y (M, D); None if they would not save time.

    `count` is the number of rows that y will be compared with.
    """
    columns = y.shape[1]
    if count * len(y) < PAYS * columns**2:
        return None
    some = y[:: max(1, len(y) // (ROWS_PER_COLUMN * columns))]
    some = some - some.mean(axis=0)
    some /= np.abs(some).max() or 1.0
    values, vectors = np.linalg.eigh(some.T @ some)
    if values[-1] <= 0:
        return None
    enough = int(np.searchsorted(np.cumsum(values[::-1]), SHARE * values.sum())) + 1
    return vectors[:, -enough:] if enough <= columns // 2 else None
