"""Simulated raters of known ability, the judgements that they make, and a test of images that a program tells apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from counterfeit.human.design import Design, Trial, order
from counterfeit.human.file import Pool
from counterfeit.human.lines import Judgement
from counterfeit.human.store import Store

# CIFAR-10 in the data of Stein et al. 2023 (arXiv:2306.04675): share misjudged in percent, and its standard error over
# about 26 raters of 200 images each.
PEOPLE = {
    "RESFLOW": (8.8, 0.8),
    "NVAE": (13.1, 1.8),
    "ACGAN": (14.8, 1.3),
    "WGAN-GP": (17.0, 1.3),
    "LOGAN": (20.6, 2.0),
    "ReACGAN": (33.6, 1.6),
    "MHGAN": (33.6, 1.5),
    "BigGAN": (38.7, 1.4),
    "StyleGAN2-ADA": (39.3, 1.2),
    "StyleGAN-XL": (39.9, 1.2),
    "iDDPM-DDIM": (40.0, 1.3),
    "PFGM++": (43.6, 1.1),
    "LSGM": (43.7, 1.0),
}
SHAPED = ["runs/vae", "runs/gan"]  # models of `drawn_test`
RATERS_THERE, JUDGED_THERE = 26, 200


def spread_of(model: str) -> float:
    """The variance between raters over the binomial one, from the standard error."""
    share, error = (value / 100 for value in PEOPLE[model])
    return error**2 * RATERS_THERE / (share * (1 - share) / JUDGED_THERE)


def abilities(rng: np.random.Generator, share: float, spread: float, raters: int | tuple[int, ...]) -> np.ndarray:
    """Shares misjudged by raters: of a beta distribution whose counts of 200 scatter `spread` times the binomial."""
    rho = (spread - 1) / (JUDGED_THERE - 1)
    return rng.beta(share * (1 / rho - 1), (1 - share) * (1 / rho - 1), raters)


Says = Callable[[Trial, np.random.Generator], bool]  # whether a rater gets an image wrong


def judged(design: Design, raters: Sequence[Says], models: Sequence[str], seed: int = 0) -> list[Judgement]:
    """The judgements of all raters, in the order and with the roles of the design."""
    pools = [*[design.raters * design.fakes] * design.models, design.raters * design.fakes * design.models, 64]
    found = []
    for number, says in enumerate(raters, 1):
        rng = np.random.default_rng([seed, number])
        trials = order(design, number, pools)
        for position, trial in enumerate(trials):
            real = trial.source == design.real
            wrong = says(trial, rng)
            found.append(
                Judgement(
                    **{"test": "t", "rater": number, "position": position, "of": len(trials), "role": trial.role},
                    **{"model": models[trial.source] if trial.source < len(models) else None, "real": real},
                    **{"half": trial.place % 2 if real else None, "label": None, "repeats": trial.repeats},
                    **{"image": f"{trial.source}-{trial.place}", "answer": "real" if real != wrong else "fake"},
                    **{"seconds": 1.0, "shown_ms": None, "time": "2026-01-01T00:00:00+00:00"},
                )
            )
    return found


def errs(*shares: float) -> Says:
    """A rater with an error share for each source: models, then real images; who never takes noise for real."""

    def says(trial: Trial, rng: np.random.Generator) -> bool:
        return trial.source < len(shares) and rng.random() < shares[trial.source]

    return says


def clicks(trial: Trial, rng: np.random.Generator) -> bool:
    """Someone who clicks at random, whatever is shown."""
    return bool(rng.random() < 0.5)


def shapes(source: int, n: int = 40) -> np.ndarray:
    """Pictures of 28 x 28 whose first pixel says what they are: bars, rings, discs or noise."""
    y, x = np.mgrid[-14:14, -14:14]
    rng = np.random.default_rng(source)
    found = np.zeros((n, 1, 28, 28), np.uint8)
    for i in range(n):
        r, u, v = rng.uniform(5, 10), rng.uniform(-3, 3), rng.uniform(-3, 3)
        d = np.hypot(x - u, y - v)
        of = [abs(x - u) < r / 3, abs(d - r) < 2.5, d < r, rng.random((28, 28)) < 0.5]
        found[i, 0] = 235 * of[source]
    found[:, 0, 0, 0] = 60 * source
    return found


def drawn_test(path: Path, design: Design) -> Store:
    """A new test of two models, whose images are shapes."""
    real = {"name": "mnist", "split": "test", "n": 10_000, "digest": "0" * 64}
    about = {"models": {name: {"digest": "0" * 64, "kind": "run", "name": name} for name in SHAPED}, "real": real}
    pools = [Pool(shapes(source), None, np.arange(40) % 2 if source == 2 else None) for source in range(4)]
    return Store.create(path, design, SHAPED, pools, about)
