"""The Inception Score: how sure and how varied a classifier finds the images. It never sees a real image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.errors import InputError
from counterfeit.metrics.value import PROTOCOL_SEED, Floats, Value, as_features, standard_errors

LEAST_PER_SPLIT = 10


def inception_score(
    probabilities: ArrayLike, *, splits: int = 10, shuffle: bool = True, seed: int = PROTOCOL_SEED
) -> Value:
    """IS = exp(E_x KL(p(y|x) ‖ p(y))) of class probabilities (N, C), the mean over splits; in [1, C].

    Salimans et al. 2016 (arXiv:1606.03498). As in torch-fidelity the images are shuffled with RandomState(seed) and
    cut into `splits` parts; shuffle=False is the original. The standard error is by the infinitesimal jackknife: the
    score times the standard error of the images' mean KL (the mean of p moves the mean KL in second order only). The
    population std over the splits, which everybody prints, is in `extras["split_std"]`; it is about √splits times too
    large for an error of their mean, and more where the splits are small. The score grows with the size of a split, so
    that a set of fewer than 10 images a split gets fewer splits and a note.
    Raises InputError: fewer than 2 images, rows that are not probabilities (negative, or a sum off 1 by over 1e-3).
    """
    p = as_probabilities(probabilities)
    n = len(p)
    used = max(1, min(splits, n // LEAST_PER_SPLIT))
    notes = () if used == splits else (f"{used} split(s), not {splits}: there are {n} images",)
    if shuffle:
        p = p[np.random.RandomState(seed).permutation(n)]
    parts = [p[i * n // used : (i + 1) * n // used] for i in range(used)]
    # A mean KL is not negative; what rounding leaves below zero is zero.
    scores = np.exp([max(0.0, float(_divergences(part).mean())) for part in parts])
    value = float(scores.mean())
    error = float(value * _divergences(p).std(ddof=1) / np.sqrt(n))
    return Value(
        value,
        error,
        "standard error from the sampling of the generated images (infinitesimal jackknife)",
        {"split_std": float(scores.std()), "splits": float(used), **standard_errors(0.0, error)},
        notes,
    )


def as_probabilities(probabilities: ArrayLike) -> Floats:
    """Rows of float64 that sum to 1; rounding of a float32 softmax is divided out."""
    p = as_features(probabilities, "class probability")
    sums = p.sum(axis=1)
    bad = np.count_nonzero((p < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3))
    if bad:
        raise InputError(f"{bad} of {len(p)} rows are not class probabilities: they must be >= 0 and sum to 1")
    return p / sums[:, None]


def _divergences(p: Floats) -> Floats:
    """KL(p_i ‖ mean of p) in nats for every row i (N,), with 0 log 0 = 0."""
    # The 1 put in place of a 0 is multiplied by that 0.
    mean = p.mean(axis=0)
    logs = np.log(np.where(p > 0, p, 1.0)) - np.log(np.where(mean > 0, mean, 1.0))
    return np.sum(p * logs, axis=1)
