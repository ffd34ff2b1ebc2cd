"""From judgements to numbers: how often a model's images are taken for real ones, by how many people, how surely.

The score of a model is HYPE's: the mean of the share of its images that are taken for real ones and the share of real
images that are taken for fakes; 0.5 is what a coin gets. Beside it stand both shares, and d' and the criterion of
signal detection theory, because someone who always says "fake" also gets 0.5.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterfeit.human import intervals
from counterfeit.human.intervals import DRAWS, LEVEL, Floats, Interval
from counterfeit.human.lines import Judgement
from counterfeit.human.raters import Rater, examined
from counterfeit.system import words

ONE_RATER = "there is one rater: the intervals are Wilson's, and about this rater only"
OVER_RATERS = "Student's t over raters, of shares on the logit scale"


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, None if one rater cannot give it.

    Attributes:
        error: standard error over raters; of one rater, over that rater's judgements.
        bootstrap: interval by 10,000 draws of raters and, within, of images; None if it is not computed.
    """

    value: float
    interval: Interval | None
    error: float | None
    bootstrap: Interval | None = None


@dataclass(frozen=True)
class OfModel:
    """The numbers of one model.

    Attributes:
        model: the run.
        hype: mean of both error shares; 0.5 if its images cannot be told from real ones.
        fakes: share of its images that were taken for real ones.
        d_prime: how far apart real and generated images are for a rater, in standard deviations; 0: not at all.
        criterion: 0 without a preference; positive if raters hesitate to say "fake".
        judgements: judged images of this model, and real ones.
        spread: variance of `hype` between raters over the binomial one; None for one rater.
    """

    model: str
    hype: Estimate
    fakes: Estimate
    d_prime: Estimate
    criterion: Estimate
    judgements: int
    spread: float | None


@dataclass(frozen=True)
class Difference:
    """HYPE of one model minus that of another, within raters; `p` of a paired t test, by Holm for all pairs."""

    models: tuple[str, str]
    value: Estimate
    p: float | None


@dataclass(frozen=True)
class Results:
    """All numbers of a test.

    Attributes:
        models: in the order of their names.
        reals: share of real images that were taken for fakes.
        baseline: real against real: the score of one half of the real images, taken for a model's. It must be 0.5.
        raters: all of them, also those that are not counted.
        counted: numbers of the raters that the other numbers are of.
        notes: sentences for the reader.
    """

    models: tuple[OfModel, ...]
    reals: Estimate | None
    baseline: Estimate | None
    differences: tuple[Difference, ...]
    raters: tuple[Rater, ...]
    counted: tuple[int, ...]
    notes: tuple[str, ...]


def results(judgements: Iterable[Judgement], draws: int = DRAWS, seed: int = 0) -> Results:
    """All numbers of one test, from its judgements alone; without counted raters there are no models in it."""
    by_rater: dict[int, list[Judgement]] = {}
    for one in sorted(judgements, key=lambda one: (one.rater, one.position)):
        by_rater.setdefault(one.rater, []).append(one)
    models = sorted({one.model for of in by_rater.values() for one in of if one.model is not None})
    raters = tuple(examined(of, models) for of in by_rater.values())
    counted = tuple(one.number for one in raters if not one.fault)
    if not counted:
        return Results((), None, None, (), raters, (), ("no rater can be counted yet",))
    tally = Tally.of([by_rater[number] for number in counted], models)
    drawn = intervals.resampled(tally.wrong, tally.judged, draws, seed)
    return Results(
        models=tuple(_of_model(name, tally, i, drawn) for i, name in enumerate(models)),
        reals=_share(tally.shares[:, -1], tally.judged[:, -1], drawn[:, -1]),
        baseline=real_against_real(tally),
        differences=_differences(models, tally, drawn),
        raters=raters,
        counted=counted,
        notes=_notes(raters, counted, [of for number in counted for of in by_rater[number]]),
    )


@dataclass(frozen=True)
class Tally:
    """Misjudged and judged images of every rater (R, K + 1): those of K models, then the real ones.

    `of_halves` is the same of the halves of the real images: (2, R, 2), misjudged and judged.
    """

    wrong: Floats
    judged: Floats
    of_halves: Floats

    @property
    def shares(self) -> Floats:
        return np.asarray(self.wrong / self.judged)

    @classmethod
    def of(cls, raters: Sequence[Sequence[Judgement]], models: Sequence[str]) -> Tally:
        place = {name: i for i, name in enumerate(models)}
        counts = np.zeros((2, len(raters), len(models) + 1))
        halves = np.zeros((2, len(raters), 2))
        for row, judgements in enumerate(raters):
            for one in judgements:
                if one.role != "judged":
                    continue
                column = len(models) if one.model is None else place[one.model]
                counts[:, row, column] += one.wrong, 1
                if one.half is not None:
                    halves[:, row, one.half] += one.wrong, 1
        return cls(counts[0], counts[1], halves)


def _of_model(name: str, tally: Tally, i: int, drawn: Floats) -> OfModel:
    fakes, reals = tally.judged[:, i], tally.judged[:, -1]
    judged = intervals.binomial_n(fakes, reals)
    shares = (tally.shares[:, i] + tally.shares[:, -1]) / 2
    least = intervals.independent((tally.shares[:, i], fakes), (tally.shares[:, -1], reals)) / 4
    told, taken = fakes - tally.wrong[:, i], tally.wrong[:, -1]  # fakes and reals that were called fake
    hit, false_alarm = _z(told, fakes), _z(taken, reals)
    return OfModel(
        model=name,
        hype=_share(shares, judged, (drawn[:, i] + drawn[:, -1]) / 2, least),
        fakes=_share(tally.shares[:, i], fakes, drawn[:, i]),
        d_prime=_mean(hit - false_alarm),
        criterion=_mean(-(hit + false_alarm) / 2),
        judgements=int(fakes.sum() + reals.sum()),
        spread=float(shares.var(ddof=1)) / len(shares) / least if len(shares) > 1 else None,
    )


def _z(counts: Floats, of: Floats) -> Floats:
    """Normal quantiles of shares (R,), with half a count added so that none is infinite (Hautus 1995)."""
    return np.array([intervals.NORMAL.inv_cdf(share) for share in (counts + 0.5) / (of + 1)])


def _share(shares: Floats, judged: Floats, drawn: Floats, least: float | None = None) -> Estimate:
    interval, error = intervals.of_share(shares, judged, least=least)
    return Estimate(float(shares.mean()), interval, error, _percentiles(drawn))


def _mean(values: Floats, least: float = 0.0, drawn: Floats | None = None) -> Estimate:
    interval, error = intervals.of_mean(values, least) or (None, None)
    return Estimate(float(values.mean()), interval, error, None if drawn is None else _percentiles(drawn))


def _percentiles(drawn: Floats) -> Interval:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def real_against_real(tally: Tally) -> Estimate | None:
    """Real against real: one half is right if called real, the other, in the place of a model's, if called fake."""
    wrong, judged = tally.of_halves
    if not judged.all():
        return None
    errors = wrong / judged
    shares = (errors[:, 0] + 1 - errors[:, 1]) / 2
    least = intervals.independent(*[(errors[:, half], judged[:, half]) for half in (0, 1)]) / 4
    n = intervals.binomial_n(judged[:, 0], judged[:, 1])
    interval, error = intervals.of_share(shares, n, least=least)
    return Estimate(float(shares.mean()), interval, error)


def _differences(models: Sequence[str], tally: Tally, drawn: Floats) -> tuple[Difference, ...]:
    """Of all pairs of models. Both scores have the same real images: half the difference on fakes is left."""
    found, p_values = [], []
    for i, j in itertools.combinations(range(len(models)), 2):
        values = (tally.shares[:, i] - tally.shares[:, j]) / 2
        least = intervals.independent(*[(tally.shares[:, k], tally.judged[:, k]) for k in (i, j)]) / 4
        estimate = _mean(values, least, (drawn[:, i] - drawn[:, j]) / 2)
        found.append(((models[i], models[j]), estimate))
        if estimate.error:
            t = abs(estimate.value) / estimate.error
            p_values.append(1 - intervals.t_within(t, len(values) - 1))
        else:
            p_values.append(1.0)
    several = len(tally.wrong) > 1
    adjusted = holm(np.array(p_values)) if several else [None] * len(found)
    return tuple(Difference(pair, value, p) for (pair, value), p in zip(found, adjusted, strict=True))


def holm(p_values: NDArray[np.float64]) -> list[float]:
    """p values (N,) that hold for all N together (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1.0, np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)))
    found = np.empty(len(order))
    found[order] = steps
    return [float(p) for p in found]


def _notes(raters: Sequence[Rater], counted: Sequence[int], judged: Sequence[Judgement]) -> tuple[str, ...]:
    notes = [ONE_RATER] if len(counted) == 1 else []
    if 1 < len(counted) < 10:
        notes.append(f"there are {len(counted)} raters: below 10, their spread is hardly known and intervals are wide")
    apart = len(raters) - len(counted)
    if apart:
        notes.append(f"{words.count(apart, 'rater')} {'is' if apart == 1 else 'are'} shown apart and not counted")
    shown = [(one.image, one.rater) for one in judged if one.role == "judged"]
    seen: dict[str, set[int]] = {}
    for image, rater in shown:
        seen.setdefault(image, set()).add(rater)
    shared = sum(len(by) > 1 for by in seen.values())
    if 2 * shared > len(seen):
        notes.append(
            f"{shared:,} of {len(seen):,} images were seen by several raters: the luck of these images is not in the "
            "intervals, which are about them only; a test of more images has it"
        )
    return tuple(notes)
