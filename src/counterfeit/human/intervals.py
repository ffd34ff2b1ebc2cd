"""Intervals of shares over raters, closed forms of Student's t, and the number of raters that a test needs.

People differ in how well they tell fakes: in the data of Stein et al. 2023 (arXiv:2306.04675), raters scatter by 2 to
14 times the binomial variance of their 200 judgements. A rater is therefore one observation, not 200, and intervals are
of the mean over raters. Where every rater sees images of their own, that spread contains the luck of the images too.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.95
DRAWS = 10_000  # of the bootstrap, as in HYPE
CHUNK = 500  # draws at a time: 60 raters and 7 sources take 2 MB
NORMAL = NormalDist()
JUDGED_THERE = 200  # images per rater in the data of Stein et al.
SPREADS = {"alike": 2.2, "usual": 6.3, "unlike": 13.7}
"""Variance between raters over the binomial one in those data: of LSGM, ACGAN and NVAE."""


def t_within(t: float, df: int) -> float:
    """P(|T| <= t) of Student's t with a whole number of degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(df))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = df % 2
    term, total = 1.0, 0.0
    for k in range((df - odd) // 2):  # 1 + 1/2 cos² + 1·3/(2·4) cos⁴ … of an even number, 1 + 2/3 cos² … of an odd one
        total += term
        term *= square * (2 * k + 1 + odd) / (2 * k + 2 + odd)
    return 2 / math.pi * (angle + sine * math.cos(angle) * total) if odd else sine * total


@functools.cache
def t_quantile(within: float, df: int) -> float:
    """The t for which P(|T| <= t) is `within`, 0 < within < 1, by bisection."""
    low, high = 0.0, 1.0
    while t_within(high, df) < within:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, df) < within else (low, middle)
    return high


def wilson(share: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's interval (1927) of a share of n independent judgements; n need not be whole."""
    z = NORMAL.inv_cdf((1 + level) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (max(0.0, centre - half) if share else 0.0), (min(1.0, centre + half) if share < 1 else 1.0)


def binomial_n(*judged: Floats) -> Floats:
    """The number of judgements (R,) whose pooled share varies as the plain mean of shares of these numbers of them.

    Of one number it is that number, and of twice n it is 2n: the share misjudged of as many fakes as reals.
    """
    return np.asarray(len(judged) ** 2 / sum(1 / n for n in judged))


def independent(*sides: tuple[Floats, Floats]) -> float:
    """The variance that independent judgements give to a sum of shares, such as those of fakes and reals, over raters.

    It is never 0: of no errors or only errors, half a judgement of all is taken for one, or for none.

    Args:
        sides: of each, the share of every rater and the judgements behind it, (R,) both.
    """
    half = 0.5 / sum(float(judged.sum()) for _, judged in sides)
    means = [min(max(float(shares.mean()), half), 1 - half) for shares, _ in sides]
    of_rater = [p * (1 - p) * float((1 / judged).mean()) for p, (_, judged) in zip(means, sides, strict=True)]
    return sum(of_rater) / len(sides[0][0])


def of_share(
    shares: Floats, judged: Floats, level: float = LEVEL, least: float | None = None
) -> tuple[Interval, float]:
    """The interval of a mean share over raters, and its standard error.

    With one rater it is Wilson's, of that rater only. With more it is Student's, over raters on the logit scale:
    symmetric ones and the percentiles of a bootstrap miss the truth too often for 10 raters, or small shares, see
    `benchmarks/raters.py`. It is never narrower than that of independent judgements.

    Args:
        shares: share of each rater (R,), R >= 1.
        judged: independent judgements behind each, see `binomial_n`.
        least: the variance that these give to the mean; by default that of one share, see `independent`.
    """
    raters, total, mean = len(shares), float(judged.sum()), float(shares.mean())
    if raters == 1:
        return wilson(mean, total, level), math.sqrt(mean * (1 - mean) / total)
    inner = min(max(mean, 0.5 / total), 1 - 0.5 / total)
    error, half = _half(shares, independent((shares, judged)) if least is None else least, level)
    logit, half = math.log(inner / (1 - inner)), half / (inner * (1 - inner))
    low, high = (0.5 + 0.5 * math.tanh((logit + side * half) / 2) for side in (-1, 1))
    return ((low if mean > 0 else 0.0), (high if mean < 1 else 1.0)), error


def of_mean(values: Floats, least: float = 0.0, level: float = LEVEL) -> tuple[Interval, float] | None:
    """Student's interval of a mean over raters, and its standard error; None for one rater.

    `least` is the variance of the mean that independent judgements have: the interval is not narrower than theirs.
    """
    if len(values) < 2:
        return None
    mean, (error, half) = float(values.mean()), _half(values, least, level)
    return (mean - half, mean + half), error


def _half(values: Floats, least: float, level: float) -> tuple[float, float]:
    """Standard error and half width: of the spread over raters, or of the variance `least` if that is wider."""
    raters, known = len(values), math.sqrt(least)
    error = float(values.std(ddof=1)) / math.sqrt(raters)
    half = max(t_quantile(level, raters - 1) * error, NORMAL.inv_cdf((1 + level) / 2) * known)
    return max(error, known), half


def resampled(wrong: Floats, judged: Floats, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Means over raters of shares (draws, S), with raters drawn with replacement and within each their images too.

    The images of a rater drawn with replacement are misjudged a binomial number of times, so that is what is drawn.
    All sources of a rater are drawn together: what is computed of them is paired within raters.

    Args:
        wrong, judged: misjudged and judged images of each rater and source (R, S); every number judged is at least 1.
    """
    rng = np.random.default_rng(seed)
    found, shares, counts = [], wrong / judged, judged.astype(np.int64)
    for start in range(0, draws, CHUNK):
        picked = rng.integers(0, len(wrong), (min(CHUNK, draws - start), len(wrong)))
        found.append((rng.binomial(counts[picked], shares[picked]) / counts[picked]).mean(axis=1))
    return np.concatenate(found)


@dataclass(frozen=True)
class Needed:
    """What a test needs: judgements in all, and raters of so many images."""

    judgements: int
    raters: int


def spread_at(images: int, spread: float, of: int = JUDGED_THERE) -> float:
    """The design effect 1 + (images - 1) rho (Kish 1965), where rho is that of a spread measured with `of` images."""
    return 1 + (images - 1) * (spread - 1) / (of - 1)


def needed(share: float, images: int, spread: float, against: float = 0.5, power: float = 0.8) -> Needed:
    """How many raters tell a share from another, two-sided at 5 %, with this power.

    The judgements are those of a test of one share, times the design effect; few raters need more, since their spread
    is not known, and Student's t takes the place of the normal quantiles.

    Args:
        share, against: the two shares, such as 0.4 and 0.5.
        images: judged by each rater.
        spread: variance between raters over the binomial one, with JUDGED_THERE images each.
    """
    effect = spread_at(images, spread)
    before, beyond = math.sqrt(against * (1 - against)), math.sqrt(share * (1 - share))

    def judgements(z: float, z_power: float) -> float:
        return effect * ((z * before + z_power * beyond) / (share - against)) ** 2

    z, z_power = NORMAL.inv_cdf((1 + LEVEL) / 2), NORMAL.inv_cdf(power)
    raters = max(2, math.ceil(judgements(z, z_power) / images))
    while judgements(t_quantile(LEVEL, raters - 1), t_quantile(2 * power - 1, raters - 1)) > raters * images:
        raters += 1
    return Needed(math.ceil(judgements(z, z_power)), raters)
