"""Stacked MNIST, of sets that are made here: a digit in each channel, read by the digit classifier; modes, their KL."""

import numpy as np
import pytest

import counterfeit as cf
from counterfeit import detectors
from counterfeit.metrics.modes import modes, uniform_kl


def sure_of(counts):
    """Probabilities of as many images a class."""
    return np.eye(len(counts))[np.repeat(np.arange(len(counts)), counts)]


def stacked(digits, numbers, seed=0):
    """Images of three digits, uint8 (N, 3, 28, 28), of these numbers from 0 to 999."""
    images, labels = digits
    rng = np.random.default_rng(seed)
    rows = {c: np.flatnonzero(labels == c) for c in range(10)}
    wanted = np.stack([numbers // 100, numbers // 10 % 10, numbers % 10], axis=1)
    chosen = np.array([[rng.choice(rows[c]) for c in number] for number in wanted])
    return images[chosen][:, :, 0]


def test_modes_and_kl_in_closed_form():
    cases = [sure_of(counts) for counts in ([30] * 10, [60] * 5 + [0] * 5, [300] + [0] * 9)]
    assert [modes(p).value for p in cases] == [10, 5, 1] and [modes(p).extras["share"] for p in cases] == [1, 0.5, 0.1]
    assert [uniform_kl(p).value for p in cases] == pytest.approx([0, np.log(2), np.log(10)], abs=1e-12)
    uneven = uniform_kl(sure_of([900, 90, 10])).value
    assert uneven == pytest.approx(sum(q * np.log(3 * q) for q in (0.9, 0.09, 0.01)))


@pytest.mark.parametrize("rate", [0.3, 3, *(pytest.param(of, marks=pytest.mark.full) for of in (1, 8))])
@pytest.mark.parametrize("law", ["even", "zipf", "half of the classes"])
def test_the_errors_are_the_spread_over_draws(rate, law):
    weights = {"even": np.ones(300), "zipf": 1 / np.arange(1, 301), "half of the classes": np.arange(300) % 2}[law]
    rng = np.random.default_rng(0)
    shares = weights / weights.sum()
    draws = [np.eye(300)[rng.choice(300, int(300 * rate), p=shares)] for _ in range(40)]
    # With fewer images than classes, the KL's is too small.
    for metric in (modes, uniform_kl) if rate >= 3 else (modes,):
        found = [metric(p) for p in draws]
        spread = np.std([one.value for one in found], ddof=1)
        claimed = np.sqrt(np.mean([one.uncertainty**2 for one in found]))
        # The spread of 40 draws is known to 11 %; a third of a class is the least that is claimed.
        if metric is modes and spread < 1:
            assert spread < claimed < 0.8
        else:
            assert 0.7 < claimed / spread < 1.4


def test_the_detector_reads_a_digit_in_each_channel(digits):
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 1000, 60)
    images = stacked(digits, numbers)
    found = detectors.load("stacked-mnist-cnn", device="cpu")(images)
    assert found.features.shape == (60, 3 * 224) and found.probabilities.shape == (60, 1000)
    right = (found.probabilities.argmax(axis=1) == numbers).mean()
    assert right > 0.95  # 0.995³ = 0.985 is expected, and 60 images scatter by 0.016
    alone = detectors.load("mnist-cnn", device="cpu")(np.ascontiguousarray(images[:, 1:2]))
    assert np.array_equal(found.features[:, 224:448], alone.features)
    assert found.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(cf.InputError, match="takes color images, a digit in each channel.*use mnist-cnn"):
        cf.score(digits[0][:20], digits[0][20:40], detector="stacked-mnist-cnn", metrics=["modes"])


def test_a_collapsed_generator_is_seen_and_the_labels_of_a_set_are_its_numbers(digits):
    rng = np.random.default_rng(1)
    real = stacked(digits, rng.integers(0, 1000, 120), 1)
    ten = stacked(digits, np.tile([7, 123, 456, 789, 999, 500, 250, 888, 314, 159], 6), 2)
    asked = ["modes", "uniform-kl", "class-kl"]
    whole, few = (
        cf.score(images, real, detector="stacked-mnist-cnn", metrics=asked, n=120)
        for images in (real[::-1].copy(), ten)
    )
    assert few["Modes[stacked-mnist-cnn]"].value <= 20 < 90 < whole["Modes[stacked-mnist-cnn]"].value
    assert few["Uniform-KL[stacked-mnist-cnn]"].value > np.log(100) - 0.5
    assert few["Class-KL[stacked-mnist-cnn]"].value > whole["Class-KL[stacked-mnist-cnn]"].value + 1
    assert few["Modes[stacked-mnist-cnn]"].floor > 45, "of as many real images, half of the set"
