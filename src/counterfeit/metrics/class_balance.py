"""Are all classes there, and as often as in the real images? The mode coverage of a classifier's classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.errors import InputError
from counterfeit.metrics.inception_score import as_probabilities
from counterfeit.metrics.value import Value

MOST_NAMED = 100  # classes whose shares are given one by one


def class_kl(real: ArrayLike, fake: ArrayLike) -> Value:
    """KL(q ‖ p) in nats: q the shares of the classes among generated images, p among real ones; in [0, ∞), 0 is right.

    The evaluation of mode coverage by a classifier (Che et al. 2017, arXiv:1612.02136; VEEGAN, Srivastava et al. 2017,
    arXiv:1705.07761), against the real images' shares by the same classifier instead of equal ones: so its errors and
    an uneven data set cost nothing. An image belongs to its most probable class.

    Args:
        real, fake: class probabilities (N, C) and (M, C). p is smoothed by half an image a class (Jeffreys), so that a
            class without a real image gives a large number and not infinity.

    `extras`: `modes`, how many of the classes that real images have are generated at all; `class_c`, the share of class
    c among the generated images, of up to 100 classes. A perfect model gets about (C − 1)/2 · (1/M + 1/N).
    It says nothing of quality or of variety within a class. Raises InputError as `inception_score` does, and where the
    numbers of classes differ.
    """
    reals, fakes = as_probabilities(real), as_probabilities(fake)
    classes = fakes.shape[1]
    if reals.shape[1] != classes:
        raise InputError(f"real images have {reals.shape[1]} classes and generated ones {classes}: use one detector")
    counts = [np.bincount(p.argmax(axis=1), minlength=classes) for p in (reals, fakes)]
    p = (counts[0] + 0.5) / (len(reals) + classes / 2)
    q = counts[1] / len(fakes)
    there = q > 0
    logs = np.log(q[there] / p[there])
    value = float(q[there] @ logs)
    # The delta method: a generated image of class c adds log(q/p) to the mean.
    error = float(np.sqrt(max(0.0, float(q[there] @ logs**2) - value**2) / len(fakes)))
    shares = {f"class_{c}": float(share) for c, share in enumerate(q)} if classes <= MOST_NAMED else {}
    extras = {"modes": float(np.count_nonzero(there & (counts[0] > 0))), **shares}
    return Value(max(0.0, value), error, "standard error over the generated images, the real ones held fixed", extras)
