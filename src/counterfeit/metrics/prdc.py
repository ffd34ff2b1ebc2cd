"""Precision and recall, density and coverage: how much of each set is in the other's k-nearest-neighbor balls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.metrics import balls, halves
from counterfeit.metrics.balls import Balls, Protocol
from counterfeit.metrics.halves import Error
from counterfeit.metrics.keep import Keep, computed
from counterfeit.metrics.value import PROTOCOL_SEED, RULE_OF_THREE, Value, as_pair, standard_errors

Counted = Literal["real", "fake"] | None
OF_FEW = 0.25
"""If the owners of the balls contribute a standard error above this share of the value, few of them decide it. In
measurements (docs/metrics.md), the ± is then 0.6 to 0.9 of the spread, and twice the ± covers 55 to 75 % of the draws.
"""
KYNKAANNIEMI = Protocol(3, closed=True)
NAEEM = Protocol(5, closed=False)
BOTH = (KYNKAANNIEMI, NAEEM)


@dataclass(frozen=True)
class Judged:
    """What the balls of one protocol contain, and the standard errors of the statistics by name."""

    balls: Balls
    errors: Mapping[str, Error]


def precision_recall(real: ArrayLike, fake: ArrayLike, *, k: int = KYNKAANNIEMI.k) -> dict[str, Value]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991) of real (N, D) and fake (M, D).

    Precision: share of fakes within (<=) the distance of some real image to its k-th nearest other real image. Recall:
    the same with reals and fakes exchanged. Both in [0, 1], higher is better; as in torch-fidelity.
    Raises InputError (fewer than 2 images, numbers that are not finite, different numbers of columns).
    """
    return precision_recall_of(*fill(real, fake, Protocol(k, closed=True)))


def precision_recall_of(found: Judged) -> dict[str, Value]:
    """Compute `precision_recall` from closed balls."""
    return {
        "Precision": _mean(found.balls.fake_held_by > 0, "precision", "fake", found),
        "Recall": _mean(found.balls.real_held, "recall", "real", found),
    }


def prdc(real: ArrayLike, fake: ArrayLike, *, k: int = NAEEM.k) -> dict[str, Value]:
    """Precision, recall, density and coverage (Naeem et al. 2020, arXiv:2002.09797) of real (N, D) and fake (M, D).

    Balls are open (<), unlike in `precision_recall`; as in the package prdc, whose versions of precision and recall
    these are. Density: mean number of real balls that contain a fake, divided by k, in [0, N/k]; the expected value for
    a perfect model is 1. Coverage: share of real balls that contain a fake, in [0, 1]; about 1 − 2^-k for a perfect
    model with N = M.
    Raises InputError as `precision_recall` does.
    """
    return prdc_of(*fill(real, fake, Protocol(k, closed=False)))


def prdc_of(found: Judged) -> dict[str, Value]:
    """Compute `prdc` from open balls."""
    return {
        "PRDC-precision": _mean(found.balls.fake_held_by > 0, "precision", "fake", found),
        "PRDC-recall": _mean(found.balls.real_held, "recall", "real", found),
        "Density": _mean(found.balls.fake_held_by / found.balls.k, "density", "fake", found, 1 / found.balls.k),
        "Coverage": _mean(found.balls.real_holds, "coverage", None, found),
    }


def fill(
    real: ArrayLike,
    fake: ArrayLike,
    *protocols: Protocol,
    seed: int = PROTOCOL_SEED,
    keep: Keep = computed,
) -> list[Judged]:
    """Fill the balls of each protocol in three shared passes; `seed` determines the halves for the standard errors.

    `keep` is asked for what depends on the real images alone, one of the passes.

    Raises InputError (fewer than 2 images, numbers that are not finite, different numbers of columns).
    """
    real, fake = as_pair(real, fake)
    filled = balls.fill(real, fake, protocols, keep)
    errors = halves.errors(real, fake, protocols, filled, np.random.RandomState(seed))
    return [Judged(*both) for both in zip(filled.balls, errors, strict=True)]


def _mean(hits: np.ndarray, name: str, counted: Counted, found: Judged, unit: float = 1.0) -> Value:
    """The mean of hits (N,), each a multiple of `unit`, and its standard error.

    With the other set fixed, the hits of the `counted` set are independent images, so that part is known exactly. (This
    does not hold for the balls of real images, whose size depends on other real images.) No error is below
    `RULE_OF_THREE`: no hit among n images does not prove that there can be none.
    """
    value, notes = float(hits.mean()), found.balls.notes
    if name not in found.errors:
        return Value(value, notes=notes)
    error = found.errors[name]
    if counted is not None and (error.real if counted == "fake" else error.fake) > OF_FEW * error.mean:
        whose = "real" if counted == "fake" else "generated"
        hangs = f"it hangs on the large balls of a few {whose} images: others would give quite another value"
        notes += (f"{hangs}, and the ± is the least that may be",)
    if hits.dtype == bool:
        error = error.of_share(value, len(hits))
    if counted is not None:
        known = float(hits.std(ddof=1) / np.sqrt(len(hits)))
        error = error.with_real(known) if counted == "real" else error.with_fake(known)
    least = RULE_OF_THREE * unit / len(hits)
    return Value(
        value,
        max(error.both, least),
        "standard error from the sampling of both sets (random halves)",
        standard_errors(max(error.real, least), max(error.fake, least)),
        notes,
    )
