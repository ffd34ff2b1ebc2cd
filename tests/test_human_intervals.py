"""Intervals and sample sizes of the human test: closed forms, scipy, and simulated raters of known ability."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from counterfeit.human import intervals
from human_cases import PEOPLE, abilities, spread_of


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 10, 29, 30, 59, 200, 1001])
def test_student_t_is_scipys(df: int) -> None:
    for t in (0.0, 0.1, 1.0, 2.5, 12.0):
        expected = stats.t.cdf(t, df) - stats.t.cdf(-t, df)
        assert intervals.t_within(t, df) == pytest.approx(expected, abs=1e-12)
    for within in (0.5, 0.6, 0.95, 0.999):
        assert intervals.t_quantile(within, df) == pytest.approx(stats.t.ppf((1 + within) / 2, df), rel=1e-9)


@pytest.mark.parametrize(("wrong", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (37, 100), (999, 1000)])
def test_wilson_is_scipys(wrong: int, n: int) -> None:
    expected = stats.binomtest(wrong, n).proportion_ci(method="wilson")
    assert intervals.wilson(wrong / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_one_rater_gets_wilsons_interval_of_all_their_images() -> None:
    """As many fakes as reals: the mean of both shares is the share of all, so that the interval is of 2 n."""
    judged = intervals.binomial_n(np.array([50.0]), np.array([50.0]))
    interval, _ = intervals.of_share(np.array([0.37]), judged)
    assert judged == pytest.approx([100.0])
    assert interval == pytest.approx(intervals.wilson(0.37, 100))


def test_judgements_of_unequal_numbers_count_as_their_variance_does() -> None:
    """The variance of (p̂ + q̂)/2 for p = q is p(1 - p)/n with n = 4/(1/n₁ + 1/n₂): simulated."""
    rng = np.random.default_rng(0)
    means = (rng.binomial(20, 0.3, 200_000) / 20 + rng.binomial(60, 0.3, 200_000) / 60) / 2
    (n,) = intervals.binomial_n(np.array([20.0]), np.array([60.0]))
    assert means.var() == pytest.approx(0.3 * 0.7 / n, rel=0.02)  # 6 standard errors of a variance


def test_interval_of_several_raters_by_hand() -> None:
    """On the logit scale with the delta method: the standard error of the logit is that of the mean over p(1 - p)."""
    shares = np.array([0.30, 0.42, 0.35, 0.51, 0.28])
    (low, high), error = intervals.of_share(shares, np.full(5, 100.0))
    mean, expected = shares.mean(), shares.std(ddof=1) / math.sqrt(5)
    half = stats.t.ppf(0.975, 4) * expected / (mean * (1 - mean))
    assert error == pytest.approx(expected)
    assert stats.logistic.ppf([low, high]) == pytest.approx(
        [stats.logistic.ppf(mean) - half, stats.logistic.ppf(mean) + half]
    )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_raters_without_any_or_only_errors_still_have_an_interval(share: float) -> None:
    (low, high), _ = intervals.of_share(np.full(10, share), np.full(10, 20.0))
    assert (low, high)[int(share)] == share
    assert 0.015 < high - low < 0.1  # of 200 images, the rule of three says 0.015


def test_raters_who_agree_too_well_get_the_binomial_error() -> None:
    _, error = intervals.of_share(np.full(10, 0.4), np.full(10, 100.0))
    assert error == pytest.approx(math.sqrt(0.4 * 0.6 / 1000))


def test_bootstrap_over_raters_and_images_has_both_variances() -> None:
    """Its variance is that between raters, (R - 1)/R s²/R, and that of the images within them, which is in s² too."""
    rng = np.random.default_rng(1)
    judged = np.full((30, 1), 50.0)
    wrong = rng.binomial(50, rng.beta(4, 8, (30, 1))).astype(float)
    drawn = intervals.resampled(wrong, judged, 40_000)
    shares = wrong / judged
    between, within = shares.var() / 30, (shares * (1 - shares) / 50).mean() / 30
    assert drawn.mean() == pytest.approx(shares.mean(), abs=4 * math.sqrt((between + within) / 40_000))
    assert drawn.var() == pytest.approx(between + within, rel=0.03)  # 4 standard errors of a variance


def test_bootstrap_is_seeded_and_paired_within_raters() -> None:
    """A source that is a copy of another one moves with it where only the raters differ."""
    wrong, judged = np.array([[0.0, 0.0], [50.0, 50.0]] * 5), np.full((10, 2), 50.0)
    drawn = intervals.resampled(wrong, judged, 700)
    assert drawn.shape == (700, 2) and drawn.std() > 0.1
    assert np.array_equal(drawn[:, 0], drawn[:, 1])
    assert np.array_equal(drawn, intervals.resampled(wrong, judged, 700))
    assert not np.array_equal(drawn, intervals.resampled(wrong, judged, 700, seed=1))


@pytest.mark.parametrize("raters", [10, 25, 60])
@pytest.mark.parametrize("model", ["NVAE", "ACGAN", "LSGM"])
def test_intervals_cover_the_truth(model: str, raters: int) -> None:
    """92 to 97 % of the 95 % intervals; `benchmarks/raters.py` has all 13 models, and other kinds of intervals."""
    rng, share, trials, images = np.random.default_rng(3), PEOPLE[model][0] / 100, 1500, 100
    wrong = rng.binomial(images, abilities(rng, share, spread_of(model), (trials, raters)))
    judged = np.full(raters, float(images))
    found = [intervals.of_share(row / images, judged)[0] for row in wrong]
    covered = np.mean([low <= share <= high for low, high in found])
    assert 0.92 <= covered <= 0.97


def test_judgements_needed_as_the_formula_gives_them() -> None:
    """Published for independent judgements: 783 to tell 45 % from 50 %, 194 to tell 60 %."""
    assert intervals.needed(0.45, 1, 1.0).judgements == 783
    assert intervals.needed(0.60, 1, 1.0).judgements == 194
    assert intervals.spread_at(200, 6.3) == pytest.approx(6.3)
    assert intervals.spread_at(1, 6.3) == 1


@pytest.mark.parametrize("kind", ["alike", "usual", "unlike"])
def test_raters_needed_have_the_power_that_they_should(kind: str) -> None:
    """Simulated raters who misjudge 40 %: four of five tests of as many find that this is not 50 %."""
    rng, images, spread = np.random.default_rng(5), 100, intervals.SPREADS[kind]
    raters = intervals.needed(0.4, images, spread).raters
    wrong = rng.binomial(images, abilities(rng, 0.4, spread, (2000, raters)))
    judged = np.full(raters, float(images))
    found = np.mean([intervals.of_share(row / images, judged)[0][1] < 0.5 for row in wrong])
    assert 0.76 <= found <= 0.92  # whole raters: few of them overshoot


def test_the_measured_coverage_is_that_of_95_percent_intervals() -> None:
    """As `benchmarks/raters.py` found it, from the least of the models to the most: within 92 to 97 %."""
    file = Path(__file__).parents[1] / "benchmarks" / "results" / "raters.json"
    ours = [of["ours: t on the logit scale"] for of in json.loads(file.read_text())["summary"].values()]
    assert ours and all(0.92 <= low and high <= 0.97 for low, _, high in ours)
