"""The Inception Score: how confident and how varied a classifier's predictions are. It never uses a real image."""

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

    Salimans et al. 2016 (arXiv:1606.03498). As in torch-fidelity, the images are shuffled with RandomState(seed) and
    divided into `splits` parts; shuffle=False is the original. The standard error comes from the infinitesimal
    jackknife: the score times the standard error of the images' mean KL (the mean of p affects the mean KL only to
    second order). `extras["split_std"]` is the population std over the splits, which is what papers and libraries
    report. As an error of the mean over splits it is about √splits times too large, and more if the splits are small.
    The score grows with the size of a split, so a set with fewer than 10 images per split gets fewer splits and a note.
    Raises InputError: fewer than 2 images, rows that are not probabilities (negative, or a sum that differs from 1 by
    more than 1e-3).
    """
    p = as_probabilities(probabilities)
    n = len(p)
    used = max(1, min(splits, n // LEAST_PER_SPLIT))
    notes = () if used == splits else (f"{used} split(s), not {splits}: there are {n} images",)
    if shuffle:
        p = p[np.random.RandomState(seed).permutation(n)]
    parts = [p[i * n // used : (i + 1) * n // used] for i in range(used)]
    # A mean KL is not negative; anything below zero is rounding.
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
    """Check that rows are probabilities and return them as float64, divided by their sum to remove float32 rounding."""
    p = as_features(probabilities, "class probability")
    sums = p.sum(axis=1)
    bad = np.count_nonzero((p < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3))
    if bad:
        raise InputError(f"{bad} of {len(p)} rows are not class probabilities: they must be >= 0 and sum to 1")
    return p / sums[:, None]


def _divergences(p: Floats) -> Floats:
    """KL(p_i ‖ mean of p) in nats for every row i (N,), with 0 log 0 = 0."""
    # The 1 in place of a 0 is multiplied by that 0.
    mean = p.mean(axis=0)
    logs = np.log(np.where(p > 0, p, 1.0)) - np.log(np.where(mean > 0, mean, 1.0))
    return np.sum(p * logs, axis=1)
