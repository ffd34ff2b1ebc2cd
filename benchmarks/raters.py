"""How often intervals of the human test contain the truth: ours and others, with simulated raters of known ability.

    python benchmarks/raters.py [--trials 1000] [--out FILE]

Raters misjudge as much, and scatter as much, as those of the 13 models of CIFAR-10 in the data of Stein et al. 2023
(tests/human_cases.py): abilities are drawn from a beta distribution, judgements of 50 generated and 50 real images from
a binomial one. Each interval should contain the true share in 95 % of the trials. Beside it, how many of those who
click at random are counted, and how often tests of the size that `needed` gives find that 40 % is not 50 %.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.human import intervals, raters
from counterfeit.system.files import write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from human_cases import PEOPLE, abilities, spread_of  # noqa: E402

RESULTS = Path(__file__).parent / "results"
COUNTS = (10, 15, 20, 30, 60)
IMAGES = 50  # generated, and as many real ones
DRAWS = 400  # of a bootstrap within a trial: enough for a share of trials, too few for a single interval
SHARE_BOOTSTRAPPED = 0.15  # of the trials, as a bootstrap takes 100 times as long

Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=RESULTS / "raters.json")
    options = parser.parse_args()
    begun = time.perf_counter()
    found = {str(n): {model: coverage(model, n, options.trials) for model in PEOPLE} for n in COUNTS}
    result = {
        "trials": options.trials,
        "bootstrapped": int(options.trials * SHARE_BOOTSTRAPPED),
        "images": {"generated": IMAGES, "real": IMAGES},
        "spreads": {model: round(spread_of(model), 2) for model in PEOPLE},
        "coverage": found,
        "summary": summary(found),
        "clickers_counted": clickers(100_000),
        "power": {kind: power(spread) for kind, spread in intervals.SPREADS.items()},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    write_json(options.out, result)
    print(json.dumps({key: result[key] for key in ("summary", "clickers_counted", "power", "seconds")}, indent=1))


def coverage(model: str, raters: int, trials: int) -> dict[str, float]:
    """By kind of interval, the share of trials whose interval contains the model's true share."""
    rng = np.random.default_rng([raters, *model.encode()])
    share, spread = PEOPLE[model][0] / 100, spread_of(model)
    hits: dict[str, list[bool]] = defaultdict(list)
    judged = np.full((raters, 2), float(IMAGES))
    for trial in range(trials):
        able = abilities(rng, share, spread, raters)
        wrong = rng.binomial(IMAGES, np.stack([able, able], axis=1)).astype(float)
        for kind, (low, high) in kinds(wrong, judged, trial, trial < trials * SHARE_BOOTSTRAPPED).items():
            hits[kind].append(low <= share <= high)
    return {kind: round(float(np.mean(of)), 4) for kind, of in hits.items()}


def kinds(wrong: np.ndarray, judged: np.ndarray, seed: int, bootstrapped: bool) -> dict[str, tuple[float, float]]:
    """Intervals of the mean share, each as it is usually made."""
    shares, n = wrong.sum(axis=1) / judged.sum(axis=1), len(wrong)
    mean, error = float(shares.mean()), float(shares.std(ddof=1)) / math.sqrt(n)
    t = intervals.t_quantile(0.95, n - 1)
    found = {
        "ours: t on the logit scale": intervals.of_share(shares, intervals.binomial_n(*judged.T))[0],
        "t": (mean - t * error, mean + t * error),
        "Wilson, pooled": intervals.wilson(mean, float(judged.sum())),
    }
    if bootstrapped:
        rng = np.random.default_rng(seed)
        of_raters = shares[rng.integers(0, n, (DRAWS, n))].mean(axis=1)
        of_both = intervals.resampled(wrong, judged, DRAWS, seed).mean(axis=1)
        for kind, drawn in (("bootstrap: raters (HYPE)", of_raters), ("bootstrap: raters and images", of_both)):
            low, high = np.quantile(drawn, [0.025, 0.975])
            found[kind] = float(low), float(high)
    return found


def summary(found: dict[str, dict[str, dict[str, float]]]) -> Json:
    """By number of raters and kind of interval: least, mean and greatest coverage over the models."""
    return {
        n: {
            kind: [round(float(of([one[kind] for one in models.values()])), 3) for of in (min, np.mean, max)]
            for kind in next(iter(models.values()))
        }
        for n, models in found.items()
    }


def clickers(trials: int) -> dict[str, float]:
    """By number of images of noise, the share of those who click at random, and slip in 2 %, that is counted."""
    rng, counted = np.random.default_rng(0), {}
    for noise in (8, 10, 20):
        for who, rate in (("at random", 0.5), ("slips", 0.02)):
            missed = rng.binomial(noise, rate, trials)
            passes = np.array([not k or raters.by_coin(k, noise) < raters.COIN for k in range(noise + 1)])
            counted[f"{noise} of noise, {who}"] = round(float(passes[missed].mean()), 4)
    return counted


def power(spread: float, images: int = 100, trials: int = 4000) -> Json:
    """Raters needed to tell 40 % from 50 %, and how often as many do."""
    rng, asked = np.random.default_rng(1), intervals.needed(0.4, images, spread)
    wrong = rng.binomial(images, abilities(rng, 0.4, spread, (trials, asked.raters)))
    judged = np.full(asked.raters, float(images))
    told = [intervals.of_share(row / images, judged)[0][1] < 0.5 for row in wrong]
    return {"spread": spread, "raters": asked.raters, "judgements": asked.judgements, "found": float(np.mean(told))}


if __name__ == "__main__":
    main()
