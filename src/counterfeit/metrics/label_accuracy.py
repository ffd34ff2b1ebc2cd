"""Does a conditional model generate what it is asked for? A classifier trained on real images decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.errors import InputError
from counterfeit.metrics.inception_score import as_probabilities
from counterfeit.metrics.value import Value, share_error, standard_errors


def label_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> Value:
    """Share of images whose most probable class is the label for which they were generated; in [0, 1].

    Args:
        probabilities: class probabilities (N, C).
        labels: int (N,), 0 to C - 1.

    `extras["class_c"]` is the share among the images with label c. The classifier makes errors too: read the value next
    to the baseline, which is the same share for real images. The metric does not measure variety: one good image per
    class, repeated, would get 1.
    Raises InputError: labels that do not fit the probabilities.
    """
    p = as_probabilities(probabilities)
    y = np.asarray(labels)
    if y.shape != (len(p),) or y.dtype.kind not in "iu":
        raise InputError(f"labels must be integers ({len(p)},), one per image, not {y.dtype} {y.shape}")
    if len(y) and (y.min() < 0 or y.max() >= p.shape[1]):
        raise InputError(f"labels go from {y.min()} to {y.max()}; the detector knows the classes 0 to {p.shape[1] - 1}")
    hits = p.argmax(axis=1) == y
    error = share_error(hits)
    extras = {f"class_{c}": float(hits[y == c].mean()) for c in np.unique(y)}
    kind = "standard error from the sampling of the generated images (binomial)"
    return Value(float(hits.mean()), error, kind, {**extras, **standard_errors(0.0, error)})
