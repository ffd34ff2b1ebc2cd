"""Modes: how many classes a classifier finds among the generated images, and how evenly they are drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.metrics.inception_score import as_probabilities
from counterfeit.metrics.value import Value, standard_errors


def modes(probabilities: ArrayLike) -> Value:
    """How many classes are drawn at all, in [1, C], higher is better.

    Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761), whose 1,000 classes are those of stacked MNIST. An image belongs
    to its most probable class.

    Args:
        probabilities: class probabilities (M, C) of the generated images.

    `extras["share"]` is the share of all classes. The standard error says how many more or fewer another draw of M
    images may have. Its variance is the number of new classes that a second draw is expected to find, by how many were
    drawn once and twice (see `_new`), or if that is larger, that of classes drawn a few times that get lost.
    Raises InputError as `inception_score` does.
    """
    drawn = _drawn(probabilities)
    found = int(np.count_nonzero(drawn))
    error = float(np.sqrt(max(_new(drawn), _lost(drawn))))
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


def _new(drawn: NDArray[np.intp]) -> float:
    """The expected number of classes that a second draw finds and the first did not (Shen, Chao & Lin 2003).

    If the counts follow Poisson's law, this is the variance of the number of classes found: with r the rate of a class,
    both are Σ exp(−r) (1 − exp(−r)).
    """
    once, twice = (np.count_nonzero(drawn == k) for k in (1, 2))
    unseen = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    unseen = min(unseen, np.count_nonzero(drawn == 0))
    return float(unseen * -np.expm1(-once / unseen)) if unseen else 0.0


def _lost(drawn: NDArray[np.intp]) -> float:
    """The same variance if the rate of a class is the number of its images and the unseen have none."""
    return float(np.sum(np.exp(-drawn[drawn > 0]) * -np.expm1(-drawn[drawn > 0])))
