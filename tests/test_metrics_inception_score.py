"""The Inception Score against closed forms and loops."""

import math

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics.inception_score import inception_score
from metrics_cases import logits, softmax


def test_extremes():
    assert inception_score(np.full((500, 10), 0.1)).value == pytest.approx(1, rel=1e-12)
    sure_and_varied = np.eye(10)[np.arange(1000) % 10]
    assert inception_score(sure_and_varied, splits=1).value == pytest.approx(10, rel=1e-12)
    collapsed = np.tile(np.eye(10)[3], (1000, 1))
    assert inception_score(collapsed).value == 1


def test_between_the_extremes():
    # Two classes, each image sure by p: the mean is even, KL = log 2 − H(p).
    p = 0.9
    rows = np.tile([[p, 1 - p], [1 - p, p]], (50, 1))
    expected = 2 * p**p * (1 - p) ** (1 - p)
    assert inception_score(rows, splits=1).value == pytest.approx(expected, rel=1e-12)


def test_against_loops():
    rows = softmax(logits(1, 103, 7))
    scores = []
    for split in range(4):
        part = rows[split * 103 // 4 : (split + 1) * 103 // 4]
        mean = [math.fsum(column) / len(part) for column in part.T]
        kls = [math.fsum(p * math.log(p / q) for p, q in zip(row, mean, strict=True)) for row in part]
        scores.append(math.exp(math.fsum(kls) / len(kls)))
    result = inception_score(rows, splits=4, shuffle=False)
    assert result.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert result.extras["split_std"] == pytest.approx(np.std(scores), rel=1e-9)


def test_standard_error_is_the_spread_over_repeated_sampling():
    found = [inception_score(softmax(logits(seed, 400, 10))) for seed in range(100)]
    claimed = np.mean([one.uncertainty for one in found])
    assert 0.75 < claimed / np.std([one.value for one in found]) < 1.3


def test_order_does_not_matter_without_splits():
    rows = softmax(logits(2, 200, 10))
    first, second = (inception_score(r, splits=1).value for r in (rows, rows[::-1]))
    assert first == pytest.approx(second, rel=1e-12)


def test_zeros_and_float32():
    rows = softmax(logits(3, 200, 10)).astype(np.float32)
    rows[:, 4] = 0
    rows /= rows.sum(axis=1, keepdims=True)
    assert inception_score(rows).value == pytest.approx(inception_score(rows.astype(np.float64)).value, rel=1e-12)
    assert np.isfinite(inception_score(np.eye(3)[[0, 1]] * [1, 1, 0] + 5e-324).value)


def test_few_images_get_fewer_splits():
    assert "3 split(s), not 10: there are 35 images" in inception_score(softmax(logits(4, 35, 5))).notes
    assert inception_score(softmax(logits(4, 2, 5))).extras["split_std"] == 0


@pytest.mark.parametrize("rows", [[[0.5, 0.6], [0.5, 0.5]], [[1.5, -0.5], [0.5, 0.5]], [[3.0, 1.0], [0.5, 0.5]]])
def test_refuses_what_is_not_probabilities(rows):
    with pytest.raises(InputError, match="1 of 2 rows are not class probabilities"):
        inception_score(rows)
