"""Modes: how many classes a classifier finds among the generated images, and how evenly they are drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.metrics.inception_score import as_probabilities
from counterfeit.metrics.value import Value, standard_errors

LEAST = 0.1  # of a variance, in squared classes: that all classes were seen does not prove that they always are


def modes(probabilities: ArrayLike) -> Value:
    """How many classes are drawn at all, in [1, C], higher is better.

    Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761), whose 1,000 classes are those of stacked MNIST. An image belongs
    to its most probable class.

    Args:
        probabilities: class probabilities (M, C) of the generated images.

    `extras["share"]` is the share of all classes. The standard error says how many more or fewer another draw of M
    images may have, see `_variance`; it is never below a third of a class.
    Raises InputError as `inception_score` does.
    """
    drawn = _drawn(probabilities)
    found = int(np.count_nonzero(drawn))
    error = float(np.sqrt(_variance(drawn)))
    kind = "standard error from the sampling of the generated images (classes drawn once and twice)"
    return Value(float(found), error, kind, {"share": found / len(drawn), **standard_errors(0.0, error)})


def uniform_kl(probabilities: ArrayLike) -> Value:
    """KL(q ‖ uniform) in nats of the class shares q of the generated images; in [0, log C], 0 is best.

    Argument and errors as in `modes`. `class_balance.class_kl` has the shares among real images in place of equal ones.
    The standard error is by the delta method, to second order as there.
    """
    drawn = _drawn(probabilities)
    count = int(drawn.sum())
    q = drawn[drawn > 0] / count
    logs = np.log(q * len(drawn))
    kl = float(q @ logs)
    half = (max(2, len(q)) - 1) / 2 / count**2
    error = float(np.sqrt(max(float(q @ logs**2 - kl**2) / count - half, half)))
    kind = "standard error from the sampling of the generated images (delta method, to second order)"
    return Value(max(0.0, kl), error, kind, standard_errors(0.0, error))


def _drawn(probabilities: ArrayLike) -> NDArray[np.intp]:
    """The number of images of each class (C,)."""
    p = as_probabilities(probabilities)
    return np.bincount(p.argmax(axis=1), minlength=p.shape[1])


def _variance(drawn: NDArray[np.intp]) -> float:
    """The variance of the number of classes found, over draws of as many images, estimated from one draw (C,).

    With r the rate of a class it is Σ e⁻ʳ (1 − e⁻ʳ) if the number of images M varies as Poisson's law has it. This is
    also the number of new classes that a second draw is expected to find, which Shen, Chao & Lin 2003 estimate from how
    many classes were drawn once and twice (with half a class drawn once if there is none). As M is fixed,
    (Σ r e⁻ʳ)² / M is less, and Σ r e⁻ʳ is the expected number of classes drawn once.
    """
    never, once, twice = (float(np.count_nonzero(drawn == k)) for k in range(3))
    once = max(once, 0.5)
    unseen = min(once**2 / (2 * max(twice, 1)), never + 0.5)
    return float(max(LEAST, unseen * -np.expm1(-once / unseen) - once**2 / drawn.sum()))
