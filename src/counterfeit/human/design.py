"""What each rater sees: real and generated images, blind and interleaved, in an order of their own; catch trials.

Half of the images are real, from the test split. They come in blocks that hold as many images of each model and as many
real ones as models' together, in random order, so that learning and fatigue weigh on all models alike. Every rater has
images of their own as long as there are any: the spread between raters then contains the luck of the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterfeit.errors import InputError
from counterfeit.human.lines import Role
from counterfeit.system.words import count

CATCH = 0.05  # share of the judged images that is shown again, and as many of noise
LEAST_NOISE = 8  # images of noise: a coin misses at most one of eight in 3.5 % of all cases
LEAST_REPEATS = 2
LAG = 10  # images at least between an image and its repeat
BLOCK = 10  # generated images at least in a block
EXPOSURES = (250, 500)  # ms, for which the timed mode shows an image
LEAST_FAKES = 5  # images of each model that a rater judges
MOST_MODELS, MOST_IMAGES, MOST_RATERS = 12, 1000, 1000
MOST_POOL = 20_000  # generated images of a test

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """What a test is made of.

    Attributes:
        models: number of models.
        fakes: images of each model that a rater judges; as many real ones for each.
        raters: how many are expected: for so many there are images of their own.
        exposure: milliseconds for which an image is shown before a mask hides it; None for as long as one likes.
        seed: decides which images are shown, and in which order.
    """

    models: int
    fakes: int = 50
    raters: int = 30
    exposure: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError where the test cannot be made, or nobody could take it."""
        if not 1 <= self.models <= MOST_MODELS:
            raise InputError(f"a test is of 1 to {MOST_MODELS} models, not of {self.models}: choose fewer runs")
        if not (LEAST_FAKES <= self.fakes and self.judged <= MOST_IMAGES):
            most = MOST_IMAGES // (2 * self.models)
            raise InputError(
                f"a rater judges {LEAST_FAKES} to {most} images of each of {self.models} models, not {self.fakes}"
            )
        if not 1 <= self.raters <= MOST_RATERS:
            raise InputError(f"a test is for 1 to {MOST_RATERS} raters, not {self.raters}")
        if self.exposure is not None and self.exposure not in EXPOSURES:
            shown = " or ".join(map(str, EXPOSURES))
            raise InputError(f"an image is shown for {shown} ms, or without a limit, not for {self.exposure} ms")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"the seed is {self.seed}; it must be 0 to 2^63 - 1")

    @property
    def protocol(self) -> str:
        """`hype-inf` without a limit, `250ms` in the timed mode: numbers of different protocols do not compare."""
        return "hype-inf" if self.exposure is None else f"{self.exposure}ms"

    @property
    def sample_seed(self) -> int:
        """Seed of the models' samples: none that one chooses, whose first samples other pages show with their model."""
        return self.seed ^ 1 << 62

    @property
    def judged(self) -> int:
        """Images that count, of which half are real."""
        return 2 * self.models * self.fakes

    @property
    def noise(self) -> int:
        return max(LEAST_NOISE, round(CATCH * self.judged))

    @property
    def repeats(self) -> int:
        return max(LEAST_REPEATS, round(CATCH * self.judged)) if self.judged > 2 * LAG else 0

    @property
    def shown(self) -> int:
        """All images that a rater sees."""
        return self.judged + self.noise + self.repeats

    @property
    def real(self) -> int:
        """Source number of real images; those of the models are before it."""
        return self.models

    @property
    def of_noise(self) -> int:
        """Source number of noise."""
        return self.models + 1

    def pools(self, test_images: int) -> tuple[int, int]:
        """How many images of each model and how many real ones are prepared; there are `test_images` real ones."""
        of_model = min(self.raters * self.fakes, max(self.fakes, MOST_POOL // self.models))
        return of_model, min(self.raters * self.fakes * self.models, test_images)


@dataclass(frozen=True)
class Trial:
    """An image in a rater's order.

    Attributes:
        role: see `lines.Judgement`.
        source: number of the model, `Design.real` or `Design.of_noise`.
        place: which image of that source.
        repeats: position of the first showing, of a repeat.
    """

    role: Role
    source: int
    place: int
    repeats: int | None = None


def order(design: Design, rater: int, pools: Sequence[int]) -> list[Trial]:
    """The images that a rater sees, in order: the same for the same seed and number, whoever else takes the test.

    Args:
        rater: number of the rater, from 1.
        pools: number of images of each source: of every model, real, noise.
    """
    rng = np.random.default_rng([design.seed, rater])
    judged = _judged(design, rater, pools, rng)
    keyed: list[tuple[float, Trial, int | None]] = [(float(i), trial, None) for i, trial in enumerate(judged)]
    for at in _spread(rng, design.noise, 0, len(judged)):
        keyed.append((at, Trial("noise", design.of_noise, int(rng.integers(pools[design.of_noise]))), None))
    again = set[int]()
    for at in _spread(rng, design.repeats, LAG, len(judged)):
        first = int(rng.choice([i for i in range(int(at) - LAG + 1) if i not in again]))
        again.add(first)
        keyed.append((at, Trial("repeat", judged[first].source, judged[first].place), first))
    keyed.sort(key=lambda one: one[0])
    position = {int(key): i for i, (key, trial, _) in enumerate(keyed) if trial.role == "judged"}
    return [
        trial if first is None else Trial("repeat", trial.source, trial.place, position[first])
        for _, trial, first in keyed
    ]


def _judged(design: Design, rater: int, pools: Sequence[int], rng: np.random.Generator) -> list[Trial]:
    """The images that count, in balanced blocks."""
    each = [design.fakes] * design.models + [design.fakes * design.models]
    of_rater = [
        [(start + i) % pools[source] for i in rng.permutation(n).tolist()]
        for source, n in enumerate(each)
        for start in [(rater - 1) * n]
    ]
    per_block = math.ceil(BLOCK / design.models)
    trials: list[Trial] = []
    for begin in range(0, design.fakes, per_block):
        end = min(begin + per_block, design.fakes)
        block = [
            Trial("judged", model, place) for model in range(design.models) for place in of_rater[model][begin:end]
        ]
        reals = of_rater[design.real][begin * design.models : end * design.models]
        block += [Trial("judged", design.real, place) for place in reals]
        trials += [block[i] for i in rng.permutation(len(block))]
    return trials


def _spread(rng: np.random.Generator, n: int, low: int, high: int) -> list[float]:
    """n places between two positions, one in each of n equal parts; none of them is a whole number."""
    parts = np.linspace(low, high, n + 1)
    return [float(int(rng.uniform(parts[i], parts[i + 1]))) + float(rng.uniform(0.1, 0.9)) for i in range(n)]


def chosen_real(labels: Integers | None, total: int, wanted: int, seed: int) -> tuple[Integers, Integers]:
    """Which real images are shown (n,), and the half of the test split that each stands for (n,), 0 or 1.

    With labels, classes come in turn, as in the samples of a conditional model: both sides then have them equally
    often. The images are fewer than wanted where a class has no more.

    Raises InputError: there are fewer than 10 real images.
    """
    if total < 10:
        raise InputError(f"the test split has {count(total, 'image')}: a human test needs 10 or more real ones")
    rng = np.random.default_rng([seed, 0])
    if labels is None:
        rows = rng.permutation(total)[:wanted]
        return rows, np.arange(len(rows)) % 2
    of_class = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    rounds = min(min(map(len, of_class)), math.ceil(wanted / len(of_class)))
    rows = np.stack([rows[:rounds] for rows in of_class], axis=1)
    halves = np.add.outer(np.arange(rounds), np.arange(len(of_class))) % 2
    return rows.reshape(-1)[:wanted], halves.reshape(-1)[:wanted]
