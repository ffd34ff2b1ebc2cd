"""The Vendi score: closed forms, the kernel's eigenvalues, its error over draws."""

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics.vendi import vendi
from metrics_cases import CASES, features


def by_kernel(rows):
    """As the paper defines it."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(rows @ rows.T / len(rows))
    values = values[values > 1e-14]
    return np.exp(-(values * np.log(values)).sum())


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_entropy_of_the_kernels_eigenvalues(case):
    for rows in CASES[case][:2]:
        # A value left out below 1e-14 would add 3e-13 to the entropy, and there are up to a thousand.
        assert vendi(rows).value == pytest.approx(by_kernel(rows), rel=1e-9)


def test_closed_forms():
    assert vendi(np.eye(7)).value == pytest.approx(7)
    assert vendi(np.tile(np.eye(7), (2, 1))).uncertainty == pytest.approx(0, abs=1e-12)
    assert vendi(np.tile(features(1, 1, 5), (40, 1))).value == pytest.approx(1, abs=1e-9)
    # Directions with the shares 3/4 and 1/4, whatever the lengths and signs
    rows = np.array([[1.0, 0], [-5, 0], [1e-200, 0], [0, 1e20]])
    expected = np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    assert vendi(rows).value == pytest.approx(expected) == pytest.approx(vendi(np.tile(rows, (30, 1))).value)


def test_an_image_without_a_direction_is_unlike_all_others_but_its_kind():
    assert vendi(np.zeros((5, 3))).value == pytest.approx(1)
    assert vendi(np.concatenate([np.eye(3), np.zeros((1, 3))])).value == pytest.approx(4)


def test_the_error_is_the_spread_over_draws_with_and_without_a_favored_direction():
    # The spread of 60 draws is known to 9 %.
    for shift in (0.0, 1.5):
        found = [vendi(features(seed, 400, 8, shift=shift)) for seed in range(60)]
        ratio = np.mean([one.uncertainty for one in found]) / np.std([one.value for one in found], ddof=1)
        assert 0.75 < ratio < 1.3, (shift, ratio)


def test_few_images_are_noted_and_bad_ones_refused():
    assert not vendi(features(1, 7, 6)).notes and "6 images for 6 features" in vendi(features(1, 6, 6)).notes[0]
    for count in (2, 6):
        assert vendi(features(1, count, 6)).uncertainty is None, "images unlike each other pull alike"
    assert vendi(features(1, 7, 6)).uncertainty > 0
    with pytest.raises(InputError, match="1 of 3 images have NaN"):
        vendi([[1.0, 2], [np.nan, 1], [2, 1]])
