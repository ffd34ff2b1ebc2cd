"""Are all classes there, and as often as in the real images? The mode coverage of a classifier's classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.errors import InputError
from counterfeit.metrics.inception_score import as_probabilities
from counterfeit.metrics.value import Floats, Value, standard_errors

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
    of_real, of_fake, of_both = _variances(p, q, len(reals), len(fakes), int(np.count_nonzero(there | (counts[0] > 0))))
    shares = {f"class_{c}": float(share) for c, share in enumerate(q)} if classes <= MOST_NAMED else {}
    extras = {"modes": float(np.count_nonzero(there & (counts[0] > 0))), **shares}
    extras |= standard_errors(float(np.sqrt(of_real)), float(np.sqrt(of_fake)))
    kind = "standard error from the sampling of both sets (delta method, to second order)"
    return Value(max(0.0, value), float(np.sqrt(of_both)), kind, extras)


def _variances(p: Floats, q: Floats, n: int, m: int, classes: int) -> tuple[float, float, float]:
    """KL(q ‖ p)'s variance from the sampling of p (C,) by n images, with q fixed, of q (C,) by m, and of both.

    The first order: an image of class c adds log(q/p) to the mean over q, and takes q/p from that over p. It vanishes
    where q is p. Then, with C classes seen (2 at least: one may have been missed), KL is half a chi-squared of C − 1
    degrees of freedom times 1/n + 1/m, of variance (C − 1) (1/n + 1/m)² / 2; what is left of this with one set fixed is
    all but the square of that one. These are the least that is returned. The first order's estimate takes chance for a
    difference: it is too large by (C − 1) (1/n + 1/m)² / 2, or (C − 1) / 2n² and (C − 1) / 2m² of one set.
    """
    there = q > 0
    logs = np.log(q[there] / p[there])
    of_fake = float(q[there] @ logs**2 - (q[there] @ logs) ** 2) / m
    of_real = float(q**2 @ (1 / p) - 1) / n
    half = (max(2, classes) - 1) / 2
    both = half * (1 / n + 1 / m) ** 2
    return (
        max(of_real - half / n**2, both - half / m**2),
        max(of_fake - half / m**2, both - half / n**2),
        max(of_real + of_fake - both, both),
    )
