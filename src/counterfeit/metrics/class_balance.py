"""Class balance: does every class appear as often as among the real images? A classifier measures mode coverage."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.errors import InputError
from counterfeit.metrics.inception_score import as_probabilities
from counterfeit.metrics.value import Floats, Value, standard_errors

MOST_NAMED = 100  # largest number of classes whose shares are reported one by one


def class_kl(real: ArrayLike, fake: ArrayLike) -> Value:
    """KL(q ‖ p) in nats between the class shares of generated images, q, and of real images, p; in [0, ∞), 0 is best.

    This is the evaluation of mode coverage by a classifier (Che et al. 2017, arXiv:1612.02136; VEEGAN, Srivastava et
    al. 2017, arXiv:1705.07761), but p holds the shares that the same classifier finds among real images, instead of
    equal shares. So the classifier's errors and an uneven data set do no harm. An image belongs to its most probable
    class.

    Args:
        real, fake: class probabilities (N, C) and (M, C). p is smoothed by half an image per class (Jeffreys), so that
            a class without a real image gives a large value instead of infinity.

    `extras`: `modes`, how many of the classes with real images are generated at all; `class_c`, the share of class c
    among the generated images, for up to 100 classes. A perfect model gets about (C − 1)/2 · (1/M + 1/N).
    The metric does not measure quality, or variety within a class. Raises InputError as `inception_score` does, and if
    the numbers of classes differ.
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
    """Variances of KL(q ‖ p) due to sampling p (C,) from n images (q fixed), q (C,) from m images (p fixed), and both.

    First order: the influence of an image of class c on KL is log(q/p) if it is generated, and −q/p if it is real.
    Where q = p both are constant, so this variance vanishes. KL is then half a chi-squared variable with C − 1 degrees
    of freedom times 1/n + 1/m, with variance (C − 1) (1/n + 1/m)² / 2, where C is the number of classes seen (at least
    2, since one may have been missed). With one set fixed, all of this remains except the squared term of that set.
    These are the smallest values returned.

    The first-order estimate counts chance as a difference: it is too large by (C − 1) (1/n + 1/m)² / 2, or for one set
    by (C − 1) / 2n² and (C − 1) / 2m².
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
