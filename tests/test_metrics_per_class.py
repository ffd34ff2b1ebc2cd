"""Metrics of one class at a time: against scipy, by hand, and on models that the metrics of all images do not see."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from counterfeit.errors import InputError
from counterfeit.metrics import frechet, prdc
from counterfeit.metrics.per_class import ifid, precision_recall
from metrics_cases import features

N, M, D = 900, 600, 6
REAL = np.arange(N) % 3
FAKE = np.repeat([0, 1, 2], [100, 200, 300])


def classes(seed, of, stretch=1.0):
    """Features whose mean depends on the class."""
    return features(seed, len(of), D, stretch) + 4 * np.eye(3, D)[of]


def by_scipy(x, y):
    """FID as its formula is written, with a matrix square root."""
    root = sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)


def test_ifid_is_the_mean_of_scipys_fids_of_the_classes():
    real, fake = classes(1, REAL), classes(2, FAKE, 1.3)
    found = ifid(real, fake, REAL, FAKE)["iFID"]
    each = [by_scipy(real[c == REAL], fake[c == FAKE]) for c in range(3)]
    # scipy's square root is good to about 1e-12 of the traces here.
    assert found.value == pytest.approx(np.mean(each), rel=1e-9)
    assert [found.extras[f"class_{c}"] for c in range(3)] == pytest.approx(each, rel=1e-9)
    errors = [frechet.fid(real[c == REAL], fake[c == FAKE]).uncertainty for c in range(3)]
    assert found.uncertainty == pytest.approx(np.sqrt(np.sum(np.square(errors))) / 3)
    assert not found.notes and "mean over 3 classes" in found.uncertainty_kind


def test_one_class_is_fid_and_numbers_of_classes_need_not_be_small():
    real, fake = features(1, 200, D), features(2, 150, D, 1.2)
    found = ifid(real, fake, np.full(200, 10**12), np.full(150, 10**12))["iFID"]
    alone = frechet.fid(real, fake)
    assert (found.value, found.uncertainty) == (alone.value, pytest.approx(alone.uncertainty))
    assert found.extras == {f"class_{10**12}": alone.value, **alone.extras}


def test_a_model_that_confuses_classes_or_repeats_an_image_per_class_is_seen():
    real, fake = classes(1, REAL), classes(2, REAL)
    honest, confused = ifid(real, fake, REAL, REAL)["iFID"], ifid(real, fake, REAL, (REAL + 1) % 3)["iFID"]
    assert confused.value == pytest.approx(2 * 4**2, rel=0.3) and honest.value < 0.1
    shares, wrong = precision_recall(real, fake, REAL, REAL), precision_recall(real, fake, REAL, (REAL + 1) % 3)
    whole = prdc.precision_recall(real, fake)
    assert shares["iPrecision"].value == pytest.approx(whole["Precision"].value, abs=0.1)
    assert wrong["iPrecision"].value < 0.1 < whole["Precision"].value
    collapsed = np.concatenate([np.repeat(fake[c == REAL][:1], 300, axis=0) for c in range(3)])
    repeated = precision_recall(real, collapsed, REAL, np.repeat([0, 1, 2], 300))
    assert repeated["iRecall"].value < 0.05


def test_precision_and_recall_are_the_means_of_those_of_the_classes():
    real, fake = classes(1, REAL), classes(2, FAKE, 1.3)
    found = precision_recall(real, fake, REAL, FAKE)
    each = [prdc.precision_recall(real[c == REAL], fake[c == FAKE]) for c in range(3)]
    for label in ("Precision", "Recall"):
        one = found[f"i{label}"]
        assert one.value == pytest.approx(np.mean([of[label].value for of in each]))
        assert one.uncertainty == pytest.approx(np.linalg.norm([of[label].uncertainty for of in each]) / 3)


def test_many_classes_are_not_named_and_few_images_are_noted():
    of = np.arange(404) % 101
    real, fake = features(1, 404, D), features(2, 404, D)
    found = ifid(real, fake, of, of)["iFID"]
    assert set(found.extras) == {"standard_error_real", "standard_error_fake"}
    assert found.notes == ("a class has 4 images, not more than the 6 features: its FID is biased upward by so few",)
    shares = precision_recall(real[:202], fake[:202], of[:202], of[:202])["iRecall"]
    assert shares.uncertainty is None, "of two images a class there are no halves"
    assert shares.notes == ("of 101 of 101 classes: k = 1 for reals and 1 for fakes, not 3: too few images",)


@pytest.mark.parametrize(
    ("real_classes", "fake_classes", "says"),
    [
        ([0] * 9 + [1], [0] * 10, "of class 1 there are 1 real and 0 generated"),
        ([0] * 10, [0] * 8 + [1] + [2], "class 1 there are 0 real and 1 generated ones, and so few of 1 other"),
        ([0] * 9, [0] * 10, r"real classes must be integers \(10,\)"),
        ([0] * 10, [0.0] * 10, "generated classes must be integers"),
        ([0] * 10, [[0]] * 10, "generated classes must be integers"),
    ],
)
@pytest.mark.parametrize("metric", [ifid, precision_recall])
def test_classes_that_cannot_be_used(metric, real_classes, fake_classes, says):
    with pytest.raises(InputError, match=says) as caught:
        metric(features(1, 10, D), features(2, 10, D), real_classes, fake_classes)
    assert "\n" not in str(caught.value)
