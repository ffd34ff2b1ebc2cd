"""Precision, recall, density and coverage against loops, by hand, and where distances tie."""

import math

import numpy as np
import pytest

from counterfeit.metrics import blocks, distances
from counterfeit.metrics.prdc import prdc, precision_recall
from metrics_cases import features


def by_loops(real, fake, k, inside):
    """The definitions, pair by pair, with math.dist."""
    reach_real = [sorted(math.dist(a, b) for b in real)[k] for a in real]  # [0] is the image itself
    reach_fake = [sorted(math.dist(a, b) for b in fake)[k] for a in fake]
    held_by = [sum(inside(math.dist(r, f), reach) for r, reach in zip(real, reach_real, strict=True)) for f in fake]
    held = [any(inside(math.dist(r, f), reach) for f, reach in zip(fake, reach_fake, strict=True)) for r in real]
    holds = [any(inside(math.dist(r, f), reach) for f in fake) for r, reach in zip(real, reach_real, strict=True)]
    return np.mean([h > 0 for h in held_by]), np.mean(held), np.mean(held_by) / k, np.mean(holds)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 100, blocks.BLOCK_NUMBERS])
def test_against_loops_in_blocks_of_any_size(k, block, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", block)
    real, fake = features(1, 60, 4), features(2, 45, 4, 0.8, 0.3)
    # Counts: equal to the last digit but for the order of a sum.
    got = [one.value for one in prdc(real, fake, k=k).values()]
    assert got == pytest.approx(by_loops(real, fake, k, lambda d, r: d < r), rel=1e-14)
    closed = [one.value for one in precision_recall(real, fake, k=k).values()]
    assert closed == pytest.approx(by_loops(real, fake, k, lambda d, r: d <= r)[:2], rel=1e-14)


def test_by_hand_on_a_line_with_ties():
    # k = 1: the reals' radii are 1, 1, 3; the fake at 2 is on the edge of the ball around 1, and inside that around 4.
    real, fake = np.array([[0.0], [1.0], [4.0]]), np.array([[2.0], [9.0]])
    closed = precision_recall(real, fake, k=1)
    assert (closed["Precision"].value, closed["Recall"].value) == (0.5, 1.0)
    opened = {label: one.value for label, one in prdc(real, fake, k=1).items()}
    assert opened == {"PRDC-precision": 0.5, "PRDC-recall": 1.0, "Density": 0.5, "Coverage": 1 / 3}


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_ties_are_ties_whatever_the_rounding(offset):
    # A grid, rotated and shifted so that no distance is exact: each point's neighbors are all at the same distance,
    # on the edge of the closed ball and outside the open one.
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    grid = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
    real, fake = grid @ turn + offset, (grid + [1, 0]) @ turn + offset
    assert precision_recall(real, fake, k=1)["Precision"].value == 1
    assert prdc(real, fake, k=1)["Density"].value == pytest.approx(11 / 12)  # the copy alone, where there is one


def test_copies_are_at_distance_zero():
    # Every real image three times: k = 2 gives radius 0. A copy is inside the closed ball of radius 0, not the open.
    rows = 50 + features(3, 40, 300)
    real = np.repeat(rows, 3, axis=0)
    assert precision_recall(real, rows, k=2)["Precision"].value == 1
    assert prdc(real, rows, k=2)["Density"].value == 0
    np.testing.assert_array_equal(distances.nearest_others(real, 2)[0][:, 1], 0)
    assert (distances.nearest_others(real, 3)[0][:, 2] > 1e-3).all()


def test_distances_do_not_cancel_far_from_the_origin():
    x, y = (1e6 + features(seed, 30, 50) for seed in (1, 2))
    direct = ((x[:, None] - y) ** 2).sum(axis=2)
    square = np.concatenate([block for _, block in distances.squared_distances(x, y)])
    np.testing.assert_allclose(square, direct, rtol=1e-9)


def test_perfect_model():
    # Naeem et al.: density is 1 and coverage 1 − Π (N−1−i)/(2N−1−i) over i < k, near 1 − 2^-k, in the mean.
    found = [prdc(features(2 * i, 300, 6), features(2 * i + 1, 300, 6)) for i in range(30)]
    coverage = 1 - math.prod((300 - 1 - i) / (600 - 1 - i) for i in range(5))
    assert np.mean([one["Coverage"].value for one in found]) == pytest.approx(coverage, abs=0.005)
    assert np.mean([one["Density"].value for one in found]) == pytest.approx(1, abs=0.03)


def test_order_shift_and_rotation_do_not_matter():
    real, fake = features(1, 200, 8), features(2, 150, 8, 1.1)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))[0]
    for function in (prdc, precision_recall):
        expected = [one.value for one in function(real, fake).values()]
        moved = [one.value for one in function(real[::-1] @ turn + 3, fake[::-1] @ turn + 3).values()]
        assert moved == pytest.approx(expected, rel=1e-12)


def test_few_images_get_a_smaller_k():
    assert "k = 2 for reals and 5 for fakes, not 5: too few images" in prdc(np.eye(6)[:3], np.eye(6))["Density"].notes
