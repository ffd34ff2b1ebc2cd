"""Nearest neighbors by float32 and float64 against float64 alone, where float32 would err."""

import numpy as np
import pytest

from counterfeit.metrics import distances
from counterfeit.metrics.distances import nearest
from metrics_cases import features

X, Y = features(1, 80, 40), features(2, 300, 40)
SETS = {
    "plain": (X, Y),
    "far from the origin": (X + 1e6, Y + 1e6),
    "one far row, so that float32's bound is wide": (X, np.concatenate([Y, 1e4 * Y[:1]])),
    "nearly equal rows, which float32 cannot tell apart": (X, X[:1] + 1e-9 * Y),
    "copies": (np.concatenate([X, Y[:20]]), Y),
    "every row twice": (X, np.concatenate([Y, Y])),
    "one row again and again": (X, np.repeat(Y[:1], 200, axis=0)),
    "one row on both sides": (np.repeat(Y[:1], 50, axis=0), np.repeat(Y[:1], 200, axis=0)),
    "huge": (1e30 * X / np.abs(X).max(), 1e29 * Y / np.abs(Y).max()),
    "tiny": (1e-100 * X, 1e-100 * Y),
    "long rows": (features(3, 30, 2048), features(4, 100, 2048)),
}


def plainly(x, y, but=None):
    """Every pair by its difference."""
    square = np.stack([np.square(row - y).sum(axis=1) for row in x])
    if but is not None:
        square[np.arange(len(x)), but] = np.inf
    return np.sqrt(square.min(axis=1)), square.argmin(axis=1)


@pytest.mark.parametrize("block", [1, 5000, distances.BLOCK_NUMBERS])
@pytest.mark.parametrize("most", [0, distances.MOST_CANDIDATES])
@pytest.mark.parametrize("name", SETS)
def test_nearest_against_every_pair(name, most, block, monkeypatch):
    # With most = 0 every block takes the way of many equal rows: float64 products, where 1e-7 of the norm cancels.
    monkeypatch.setattr(distances, "BLOCK_NUMBERS", block)
    monkeypatch.setattr(distances, "MOST_CANDIDATES", most)
    x, y = SETS[name]
    expected, index = plainly(x, y)
    distance, found = nearest(x, y)
    tolerance = 3e-7 * np.linalg.norm(x - y.mean(axis=0), axis=1).max()
    np.testing.assert_allclose(distance, expected, rtol=1e-9, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(x - y[found], axis=1), expected, rtol=1e-9, atol=tolerance)
    if most and name in ("plain", "copies", "every row twice", "nearly equal rows, which float32 cannot tell apart"):
        np.testing.assert_array_equal(found, index)
        np.testing.assert_allclose(distance, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["plain", "copies", "every row twice", "long rows"])
def test_a_row_that_does_not_count(name):
    _, y = SETS[name]
    itself = np.arange(len(y))
    distance, index = nearest(y, y, but=itself)
    expected, where = plainly(y, y, itself)
    np.testing.assert_array_equal(index, where)
    np.testing.assert_allclose(distance, expected, rtol=1e-12)
    assert not (index == itself).any()


def test_the_quick_way_is_taken_and_looks_at_few_rows(monkeypatch):
    """Float32 leaves about one candidate a row, also at Inception's length."""
    monkeypatch.setattr(distances, "MOST_CANDIDATES", 2)
    monkeypatch.setattr(distances, "squared_distances", None)  # calling it would fail
    nearest(*SETS["plain"])
    nearest(*SETS["long rows"])
