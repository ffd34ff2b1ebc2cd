"""Class shares against closed forms."""

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics.class_balance import class_kl


def sure_of(counts):
    """Probabilities of as many images a class."""
    return np.eye(len(counts))[np.repeat(np.arange(len(counts)), counts)]


def test_closed_forms():
    real = sure_of([100_000] * 10)  # so many that the smoothing is below the tolerance
    half, one = class_kl(real, sure_of([200] * 5 + [0] * 5)), class_kl(real, sure_of([700] + [0] * 9))
    assert half.value == pytest.approx(np.log(2), abs=1e-5) and half.extras["modes"] == 5
    assert one.value == pytest.approx(np.log(10), abs=1e-5) and one.extras["modes"] == 1
    assert one.extras["class_0"] == 1 and 0 < one.uncertainty < 5e-3, "its first order is 0"
    assert class_kl(real, sure_of([30] * 10)).value == pytest.approx(0, abs=1e-9)


def test_an_uneven_data_set_is_right_as_it_is():
    uneven = [900, 90, 10]
    # Smoothing by half an image a class of 1,000 moves the smallest share, 0.01, by 5 %: a KL of about 1e-5.
    assert class_kl(sure_of(uneven), sure_of(uneven)).value < 5e-5
    even = class_kl(sure_of(uneven), sure_of([300, 300, 300])).value
    assert even == pytest.approx(np.mean([np.log(1 / 3 / p) for p in (0.9, 0.09, 0.01)]), rel=0.03)


def test_a_class_that_is_not_real_costs_much_and_not_infinity():
    found = class_kl(sure_of([500, 500, 0]), sure_of([0, 0, 100]))
    assert 5 < found.value < 10 and found.extras["modes"] == 0


def test_a_perfect_models_bias_and_spread_are_those_documented():
    rng = np.random.default_rng(0)
    real, m, n = sure_of([10_000] * 10), 1000, 500
    draws = [class_kl(*(np.eye(10)[rng.integers(0, 10, size)] for size in (n, m))) for _ in range(400)]
    # 0.0135; the spread of a draw is 0.0064, so that the standard error of the mean over 400 is 0.0003.
    assert np.mean([one.value for one in draws]) == pytest.approx(9 / 2 * (1 / m + 1 / n), abs=1e-3)
    skewed = [class_kl(real, np.eye(10)[rng.choice(10, m, p=[0.55, *[0.05] * 9])]) for _ in range(400)]
    spread = np.std([one.value for one in skewed], ddof=1)
    # The spread of 400 draws is known to 4 %.
    assert np.mean([one.uncertainty for one in skewed]) == pytest.approx(spread, rel=0.12)


def test_many_classes_are_not_named_one_by_one_and_numbers_of_classes_must_agree():
    many = np.full((3, 1008), 1 / 1008)
    assert not any(key.startswith("class_") for key in class_kl(many, many).extras)
    with pytest.raises(InputError, match="10 classes and generated ones 3"):
        class_kl(np.eye(10), np.eye(3))
