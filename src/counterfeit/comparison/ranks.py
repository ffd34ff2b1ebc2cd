"""Rank rows by their scores over seeds, without claiming more than the seeds show.

Two or three seeds tell little about a row's spread, and rows differ in spread. A single relative spread for all rows
(as in Tukey's test) claims too much for a row that scatters; each row's own spread (as in Welch's test) separates
almost nothing. Here, a row's variance is moderated by that of the whole table (Smyth 2004, doi:10.2202/1544-6115.1027),
and a difference counts if it exceeds the largest ones in simulated tables without any difference (single-step max-T:
Westfall & Young 1993, "Resampling-based multiple testing"). `benchmarks/ranks.py` compares this test with others.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
PRIOR = 1  # degrees of freedom by which the table's variance is weighted in a row's
WIDEST = 10  # factor by which a simulated row that scatters has a wider spread than the others
SIMULATED = 10_000  # tables per pattern of spreads: a p value of 0.05 has an error of 0.002
TEST = (
    f"a row ranks below another if their difference over the seeds has p < {LEVEL} for all pairs of the table together "
    "(moderated t, Smyth 2004, of logarithms if all scores are positive; against the largest of all pairs, Westfall & "
    "Young 1993, in simulated tables of equal rows that scatter alike or of which one, two or half scatter "
    f"{WIDEST} times as much); rows that it does not part share a rank"
)

Floats = npt.NDArray[np.float64]


def ranks(values: Sequence[Sequence[float]], lower_is_better: bool) -> list[int | None]:
    """Rank each row: one more than the number of significantly better rows; None for fewer than two seeds.

    Args:
        values: a score's values over the seeds, row by row.
        lower_is_better: whether lower scores are better.
    """
    tested = [row for row, seeds in enumerate(values) if len(seeds) > 1]
    found: list[int | None] = [1 if row in tested else None for row in range(len(values))]
    groups = _scaled([values[row] for row in tested])
    for (a, b), p in p_values(groups).items():
        if p < LEVEL:
            a_is_worse = (np.mean(groups[a]) > np.mean(groups[b])) == lower_is_better
            found[tested[a if a_is_worse else b]] += 1  # type: ignore[operator]  # a tested row has a rank
    return found


def _scaled(groups: Sequence[Sequence[float]]) -> list[Floats]:
    """Logarithms if all values are positive, since scores such as FID scatter in proportion to their size."""
    arrays = [np.array(group, dtype=np.float64) for group in groups]
    return [np.log(array) for array in arrays] if all((array > 0).all() for array in arrays) else arrays


def p_values(groups: Sequence[Floats]) -> dict[tuple[int, int], float]:
    """Jointly valid p values for all pairs of groups, each of two or more values.

    The p value of a pair is the fraction of simulated tables without differences (and of the table itself: Phipson &
    Smyth 2010) whose largest statistic is at least the pair's, for the pattern of spreads in which this fraction is
    largest. If no group scatters, differences are exact.
    """
    if len(groups) < 2:
        return {}
    means = np.array([group.mean() for group in groups])
    # Equal values have a variance of exactly 0, without rounding errors.
    variances = np.array([group.var(ddof=1) if np.ptp(group) else 0.0 for group in groups])
    if not variances.any():
        return {(i, j): float(means[i] == means[j]) for i, j in itertools.combinations(range(len(groups)), 2)}
    seeds = np.array([len(group) for group in groups])
    scales, largest = without_differences(tuple(sorted(seeds.tolist())))
    found = {}
    for (i, j), t in statistics(means, variances, seeds):
        balanced = t / scales[min(seeds[i], seeds[j])]
        as_large = max(SIMULATED - np.searchsorted(pattern, balanced) for pattern in largest)
        found[i, j] = float((1 + as_large) / (1 + SIMULATED))
    return found


def moderated(variances: Floats, seeds: npt.NDArray[np.int64]) -> Floats:
    """Shrink variances (rows, ...) towards the pooled one: (d0 s0² + d s²) / (d0 + d), the s̃² of Smyth 2004.

    Smyth estimates d0 and s0 from thousands of rows. A handful of rows cannot determine d0, so it is 1: with three
    seeds, a row's own variance counts for two thirds. s0² is the pooled variance: it is raised by a row that scatters,
    which protects against draws in which this row happens to look quiet.
    """
    d = seeds.reshape(-1, *[1] * (variances.ndim - 1)) - 1
    pooled = (d * variances).sum(axis=0) / d.sum()
    return (PRIOR * pooled + d * variances) / (PRIOR + d)


def statistics(
    means: Floats, variances: Floats, seeds: npt.NDArray[np.int64]
) -> Iterator[tuple[tuple[int, int], Floats]]:
    """Absolute moderated t of every pair of rows; for means and variances (rows, ...), each t is (...)."""
    errors = moderated(variances, seeds) / seeds.reshape(-1, *[1] * (means.ndim - 1))
    for i, j in itertools.combinations(range(len(means)), 2):
        yield (i, j), np.abs(means[i] - means[j]) / np.sqrt(errors[i] + errors[j])


@functools.lru_cache(maxsize=16)
def without_differences(seeds: tuple[int, ...]) -> tuple[dict[int, float], Floats]:
    """The distribution of the statistics by chance, from simulated tables with equal means.

    No set of pairs has larger statistics than all pairs together, so that the family-wise error also holds if some rows
    differ. Pairs that include a row with two seeds have much larger statistics than others. Therefore each number of
    seeds has its own scale (balanced as in Beran 1988), so that one such row does not hide what the others show.

    Args:
        seeds: number of seeds of each row, ascending.

    Returns:
        For each number of seeds, the scale of the pairs whose smaller row has this number: the 1 - LEVEL quantile of
        their largest statistic in the worst pattern. And the largest statistic of all pairs divided by its scale,
        (patterns of spreads, tables), ascending in each pattern.
    """
    n = np.array(seeds)
    draws = np.random.RandomState(0)  # the same numbers in every version of numpy
    normal = draws.standard_normal((len(n), SIMULATED))
    squares = draws.chisquare(n[:, None] - 1, (len(n), SIMULATED))
    found: dict[int, list[Floats]] = {}
    for spread in patterns(seeds):
        largest: dict[int, Floats] = {}
        means, variances = spread * normal / np.sqrt(n)[:, None], spread**2 * squares / (n[:, None] - 1)
        for (i, _), t in statistics(means, variances, n):  # i has at most as many seeds as the other
            largest[seeds[i]] = np.maximum(largest.get(seeds[i], 0.0), t)
        for poorer, values in largest.items():
            found.setdefault(poorer, []).append(values)
    scales = {poorer: float(np.quantile(values, 1 - LEVEL, axis=1).max()) for poorer, values in found.items()}
    balanced = [np.stack(values) / scales[poorer] for poorer, values in found.items()]
    return scales, np.sort(functools.reduce(np.maximum, balanced))


def patterns(seeds: tuple[int, ...]) -> list[Floats]:
    """Spreads of the rows, (rows, 1): all equal, or one, two or half of the rows are wide.

    The wide rows start at the first row with each number of seeds.
    """
    rows = len(seeds)
    first = [seeds.index(number) for number in sorted(set(seeds))]
    wide = {(min(start, rows - count), count) for start in first for count in (1, 2, rows // 2) if count < rows}
    found = [np.ones((rows, 1))]
    for start, count in sorted(wide):
        found.append(np.ones((rows, 1)))
        found[-1][start : start + count] = WIDEST
    return found
