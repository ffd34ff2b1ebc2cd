"""The test that ranks rows over seeds, held against others: family-wise error without differences, and power.

    python benchmarks/ranks.py [--simulations 5000] [--power] [--out FILE]
    python benchmarks/publish.py

Tables of logarithms are drawn in which all rows are equal, or some are and the others are far away (strong control). A
table counts as an error if any two equal rows are parted. Most rows scatter by 4 %, as in the published tables; all, or
all but one or two of 20 to 30 %. Power is the share of pairs parted that the published tables have, as they are and
drawn again with their means and spreads.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats

from counterfeit.comparison import ranks
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results"
ROWS = (2, 3, 4, 6, 10, 15, 20)
SEEDS = ("2", "3", "4", "5", "2 and 3", "2 and 5")  # of "2 and 3", every second row has 2
FAR = 5.0  # a difference of logarithms that every test finds
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "heavy tails (t of 4)": lambda rng, size: rng.standard_t(4, size) / np.sqrt(2),
    "skewed (exponential)": lambda rng, size: rng.standard_exponential(size) - 1,
}

Json = dict[str, Any]
Array = np.ndarray
Test = Callable[
    [Array, Array, Array], Array
]  # means and variances (rows, tables), seeds (rows) -> parted (pairs, tables)


def pairs(rows: int) -> tuple[Array, Array]:
    first, second = zip(*itertools.combinations(range(rows), 2), strict=True)
    return np.array(first), np.array(second)


def pooled(variances: Array, seeds: Array) -> Array:
    d = seeds[:, None] - 1
    return (d * variances).sum(axis=0) / d.sum()


def differences(means: Array, variances: Array, seeds: Array) -> tuple[Array, Array, Array]:
    """Differences over their errors (pairs, tables), and the two rows' shares of the squared error."""
    i, j = pairs(len(means))
    errors = variances / seeds[:, None]
    whole = errors[i] + errors[j]
    return np.abs(means[i] - means[j]) / np.sqrt(whole), errors[i] / whole, errors[j] / whole


@functools.cache
def studentised(level: float, rows: int, d: float) -> float:
    return float(stats.studentized_range.ppf(1 - level, rows, d))


def tukey(level: float, larger: bool, means: Array, variances: Array, seeds: Array) -> Array:
    """Tukey-Kramer; with the larger of the own and the pooled variance instead of the pooled one, if `larger`."""
    common = np.broadcast_to(pooled(variances, seeds), variances.shape)
    used = np.maximum(variances, common) if larger else common
    t, _, _ = differences(means, used, seeds)
    return t * np.sqrt(2) > studentised(level, len(means), float((seeds - 1).sum()))


def degrees(share_i: Array, share_j: Array, d: Array) -> Array:
    """Welch and Satterthwaite's, of shares (pairs, tables) and each row's d (rows, 1 or tables)."""
    i, j = pairs(len(d))
    return 1 / (share_i**2 / d[i] + share_j**2 / d[j])


def games_howell(means: Array, variances: Array, seeds: Array) -> Array:
    t, *shares = differences(means, variances, seeds)
    grid = np.geomspace(1, 100, 30)
    limits = [studentised(ranks.LEVEL, len(means), d) for d in grid]
    d = degrees(*shares, (seeds - 1)[:, None])
    return t * np.sqrt(2) > np.exp(np.interp(np.log(d), np.log(grid), np.log(limits)))


def holm(p: Array) -> Array:
    """Step-down by Holm, of p values (pairs, tables)."""
    order = np.argsort(p, axis=0)
    small = np.take_along_axis(p, order, axis=0) < ranks.LEVEL / np.arange(len(p), 0, -1)[:, None]
    found = np.empty_like(small)
    np.put_along_axis(found, order, np.logical_and.accumulate(small, axis=0), axis=0)
    return found


def welch_holm(means: Array, variances: Array, seeds: Array) -> Array:
    t, *shares = differences(means, variances, seeds)
    return holm(2 * special.stdtr(degrees(*shares, (seeds - 1)[:, None]), -t))


def trigamma_inverse(x: Array) -> Array:
    """Newton's method as in limma (Smyth 2004, appendix)."""
    y = 0.5 + 1 / x
    for _ in range(8):
        y += special.polygamma(1, y) * (1 - special.polygamma(1, y) / x) / special.polygamma(2, y)
    return y


def smyth_holm(means: Array, variances: Array, seeds: Array) -> Array:
    """Moderated t with d0 and s0 estimated from the table as Smyth 2004 does, and Holm's step-down."""
    d = (seeds - 1)[:, None]
    e = np.log(variances) - special.digamma(d / 2) + np.log(d / 2)
    rest = np.maximum(e.var(axis=0, ddof=1) - special.polygamma(1, d / 2).mean(), 1e-4)
    d0 = 2 * trigamma_inverse(rest)
    s0 = np.exp(e.mean(axis=0) + special.digamma(d0 / 2) - np.log(d0 / 2))
    t, *shares = differences(means, (d0 * s0 + d * variances) / (d0 + d), seeds)
    return holm(2 * special.stdtr(degrees(*shares, d0 + d), -t))


def ours(worst_case: bool, means: Array, variances: Array, seeds: Array) -> Array:
    """The test of `counterfeit compare`; without its patterns of unequal spreads, if not `worst_case`."""
    scales, largest = ranks.without_differences(tuple(sorted(seeds.tolist())))
    # p < LEVEL in every pattern: fewer than this many simulated tables have as large a statistic
    fewer = int(np.ceil(ranks.LEVEL * (1 + ranks.SIMULATED) - 1))
    limit = largest[: None if worst_case else 1, ranks.SIMULATED - fewer].max()
    statistics = ranks.statistics(means, variances, seeds)
    return np.stack([t > limit * scales[min(seeds[i], seeds[j])] for (i, j), t in statistics])


CHOSEN = "**moderated t, largest of all pairs, unequal spreads**"
TESTS: dict[str, Test] = {
    "Tukey-Kramer, as before": functools.partial(tukey, 0.05, False),
    "Tukey-Kramer at 0.005": functools.partial(tukey, 0.005, False),
    "Tukey-Kramer, the larger of own and pooled spread": functools.partial(tukey, 0.05, True),
    "Games-Howell": games_howell,
    "Welch's t, Holm": welch_holm,
    "moderated t as in limma, Holm": smyth_holm,
    "moderated t, largest of all pairs, equal spreads": functools.partial(ours, False),
    CHOSEN: functools.partial(ours, True),
}


def seeds_of(kind: str, rows: int) -> Array:
    counts = [int(word) for word in kind.split(" and ")]
    return np.array([counts[row % len(counts)] for row in range(rows)])


def spreads_of(rows: int) -> dict[str, Array]:
    """Standard deviations of the rows by the name of the shape; what scatters comes first."""
    wide = {
        "equal": (),
        "one of 20 %": (0.2,),
        "one of 30 %": (0.3,),
        "20 and 30 %": (0.2, 0.3),
        "two of 30 %": (0.3, 0.3),
    }
    return {name: np.array([*few, *[0.04] * (rows - len(few))]) for name, few in wide.items() if len(few) < rows}


def shifts_of(rows: int) -> dict[str, Array]:
    """Which rows are equal: all; the first two, the others apart; both halves."""
    row = np.arange(rows)
    found = {"all equal": 0 * row}
    if rows > 2:
        found |= {"two equal": np.maximum(row - 1, 0), "two halves": row // ((rows + 1) // 2)}
    return {name: FAR * groups for name, groups in found.items()}


def draw(rng: np.random.Generator, spreads: Array, seeds: Array, n: int, noise: str = "normal") -> tuple[Array, Array]:
    """Means and variances of n tables, (rows, n), about zero."""
    rows = [
        spread * NOISES[noise](rng, (count, n)) for spread, count in zip(spreads, seeds.tolist(), strict=True)
    ]  # every second row is of another number of seeds, so that they make no array
    return np.stack([row.mean(axis=0) for row in rows]), np.stack([row.var(axis=0, ddof=1) for row in rows])


def errors(rng: np.random.Generator, rows: int, kind: str, n: int) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Family-wise errors by test, for each shape of spreads and set of equal rows."""
    seeds = seeds_of(kind, rows)
    i, j = pairs(rows)
    for shape, spreads in spreads_of(rows).items():
        means, variances = draw(rng, spreads, seeds, n)
        for which, shift in shifts_of(rows).items():
            equal = shift[i] == shift[j]
            moved = means + shift[:, None]
            found = {name: test(moved, variances, seeds)[equal].any(axis=0).mean() for name, test in TESTS.items()}
            yield shape, which, found


def published() -> list[tuple[str, list[str], list[Array]]]:
    """Of each published table its name, the rows' labels and the logarithms of the scores that rank."""
    found = []
    for grid in ("seed", "tuned"):
        for table in json.loads((RESULTS / grid / "comparison.json").read_text())["tables"]:
            values = [np.log(row["metrics"][table["ranked_by"]]["values"]) for row in table["rows"]]
            found.append((f"{grid}, {table['data']}", [row["label"] for row in table["rows"]], values))
    return found


def power(rng: np.random.Generator, test: Test, n: int) -> Json:
    """Pairs of the published tables that a test parts: as they are, and the share when they are drawn again."""
    as_they_are, far, whole, again = 0, False, 0, {"2": [], "3": [], "5": []}
    for name, labels, values in published():
        seeds = np.array([len(row) for row in values])
        means, spreads = np.array([row.mean() for row in values]), np.array([row.std(ddof=1) for row in values])
        parted = test(means[:, None], spreads[:, None] ** 2, seeds)[:, 0]
        as_they_are, whole = as_they_are + int(parted.sum()), whole + len(parted)
        if name == "seed, mnist":
            both = {labels.index("dcgan"), labels.index("lsgan")}
            far = bool(parted[[{*pair} == both for pair in zip(*pairs(len(means)), strict=True)]][0])
        for kind, shares in again.items():
            drawn, variances = draw(rng, spreads, seeds_of(kind, len(means)), n)
            shares += test(drawn + means[:, None], variances, seeds_of(kind, len(means))).mean(axis=1).tolist()
    redrawn = {kind: round(float(np.mean(shares)), 3) for kind, shares in again.items()}
    return {"parted": as_they_are, "pairs": whole, "parts_dcgan_from_lsgan": far, "again": redrawn}


def powers(test: Test, n: int) -> Json:
    return power(np.random.default_rng(1), test, n // 5)


def by_noise(rng: np.random.Generator, n: int) -> list[Json]:
    """Errors of the chosen test, six equal rows, where the seeds do not scatter normally or even more unequally."""
    found = []
    for noise in NOISES:
        for name, wide in {"equal": [], "one 7.5x": [7.5], "one 50x": [50], "half 7.5x": [7.5] * 3}.items():
            spreads = np.array([*wide, *[1.0] * (6 - len(wide))])
            row: Json = {"noise": noise, "spreads": name}
            for kind in ("2", "3", "5"):
                means, variances = draw(rng, spreads, seeds_of(kind, 6), n, noise)
                row[kind] = round(float(TESTS[CHOSEN](means, variances, seeds_of(kind, 6)).any(axis=0).mean()), 4)
            found.append(row)
    return found


def measured(n: int) -> Json:
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    cells = []
    for rows, kind in itertools.product(ROWS, SEEDS):
        for shape, which, found in errors(rng, rows, kind, n):
            cells.append({"rows": rows, "seeds": kind, "spreads": shape, "equal_rows": which, "errors": found})
        print(f"{rows} rows, {kind} seeds: {time.perf_counter() - start:.0f} s", flush=True)

    def worst(test: str, equal: bool, **where: Any) -> float:
        chosen = (c for c in cells if (c["spreads"] == "equal") == equal and all(c[k] == v for k, v in where.items()))
        return round(float(max(cell["errors"][test] for cell in chosen)), 4)

    tests = [
        {
            "test": name,
            "equal": worst(name, True),
            "unequal": {str(rows): worst(name, False, rows=rows) for rows in ROWS},
            "unequal_all_rows_equal": worst(name, False, equal_rows="all equal"),
            "power": powers(test, n),
        }
        for name, test in TESTS.items()
    ]
    shapes = {"equal": True, "unequal": False}
    chosen = [
        {"rows": r, "seeds": s, **{name: worst(CHOSEN, equal, rows=r, seeds=s) for name, equal in shapes.items()}}
        for r, s in itertools.product(ROWS, SEEDS)
    ]
    noise = by_noise(rng, n)
    return {
        "simulations": n,
        "tests": tests,
        "chosen": chosen,
        "noise": noise,
        "seconds": round(time.perf_counter() - start),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=5000, help="tables in a cell")
    parser.add_argument("--out", type=Path, default=RESULTS / "ranks.json")
    parser.add_argument("--power", action="store_true", help="only of other published tables: keep the errors of --out")
    args = parser.parse_args()
    if args.power:
        found = json.loads(args.out.read_text())
        for row in found["tests"]:
            row["power"] = powers(TESTS[row["test"]], found["simulations"])
    else:
        found = measured(args.simulations)
    write_json(args.out, found)
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
