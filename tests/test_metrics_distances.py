"""Nearest neighbors by float32 and float64 against float64 alone, where float32 would err."""

import numpy as np
import pytest

from counterfeit.metrics import blocks, distances, sieve
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


def with_few_axes(monkeypatch):
    """Look for axes among few rows too, and be content with half of the variance: a coarse sieve, then a fine one."""
    monkeypatch.setattr(sieve, "PAYS", 0)
    monkeypatch.setattr(sieve, "SHARE", 0.5)


@pytest.mark.parametrize(
    ("block", "most", "coarse"),
    [
        (1, sieve.MOST_CANDIDATES, False),
        (1, 0, True),
        (5000, 0, False),
        (5000, sieve.MOST_CANDIDATES, True),
        (blocks.BLOCK_NUMBERS, sieve.MOST_CANDIDATES, False),
        (blocks.BLOCK_NUMBERS, 0, True),
    ],
)
@pytest.mark.parametrize("name", SETS)
def test_nearest_against_every_pair(name, coarse, most, block, monkeypatch):
    # With most = 0 every block takes the way of many equal rows: float64 products, where 1e-7 of the norm cancels.
    if coarse:
        with_few_axes(monkeypatch)
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", block)
    monkeypatch.setattr(sieve, "MOST_CANDIDATES", most)
    x, y = SETS[name]
    expected, index = plainly(x, y)
    distance, found = nearest(x, y)
    tolerance = 3e-7 * np.linalg.norm(x - y.mean(axis=0), axis=1).max()
    np.testing.assert_allclose(distance, expected, rtol=1e-9, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(x - y[found], axis=1), expected, rtol=1e-9, atol=tolerance)
    if most and name in ("plain", "copies", "every row twice", "nearly equal rows, which float32 cannot tell apart"):
        np.testing.assert_array_equal(found, index)
        np.testing.assert_allclose(distance, expected, rtol=1e-12)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("name", ["plain", "copies", "every row twice", "long rows"])
def test_a_row_that_does_not_count(name, coarse, monkeypatch):
    if coarse:
        with_few_axes(monkeypatch)
    _, y = SETS[name]
    itself = np.arange(len(y))
    distance, index = nearest(y, y, but=itself)
    expected, where = plainly(y, y, itself)
    np.testing.assert_array_equal(index, where)
    np.testing.assert_allclose(distance, expected, rtol=1e-12)
    assert not (index == itself).any()


def test_the_quick_way_is_taken_and_looks_at_few_rows(monkeypatch):
    """Float32 leaves about one candidate a row, also at Inception's length."""
    monkeypatch.setattr(sieve, "MOST_CANDIDATES", 2)
    monkeypatch.setattr(distances, "squared_distances", None)  # calling it would fail
    nearest(*SETS["plain"])
    nearest(*SETS["long rows"])


def test_a_coarse_sieve_looks_at_few_rows_of_features_that_hang_together(monkeypatch):
    """As a detector's do: a few axes hold nearly all of the variance, and 40 numbers become 4."""
    spread = 0.3 ** np.arange(40)
    x, y = X * spread, Y * spread
    monkeypatch.setattr(sieve, "PAYS", 0)
    axes = sieve.leading_axes(len(x), y)
    assert axes.shape == (40, 3) or axes.shape == (40, 2)
    unit = np.linalg.norm(np.concatenate([x, y]) - y.mean(axis=0), axis=1).max()
    place, candidate = sieve.Sieve(y, unit, axes).candidates(x)
    assert len(place) < 4 * len(x)
    _, expected = plainly(x, y)
    assert {*enumerate(expected)} <= {*zip(place, candidate, strict=True)}
