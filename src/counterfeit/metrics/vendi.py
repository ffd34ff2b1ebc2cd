"""The Vendi score: how many different images a set has, in effect. It never uses a real image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.metrics.value import Floats, Value, as_features, standard_errors


def vendi(features: ArrayLike) -> Value:
    """exp(−Σ λ log λ) over the eigenvalues λ of K/M, K the cosines between features (M, D); in [1, min(M, D)].

    Friedman & Dieng 2023 (arXiv:2210.02410). M images of which no two are alike at all (cosine 0) get M, copies of one
    image get 1. An image whose features are all 0 has no direction: it counts as like its kind and unlike all others.
    The eigenvalues are those of the smaller of the two matrices K/M (M, M) and Σ yyᵀ/M (D, D), y the features of length
    1; they are the same but for zeros.

    The score of a sample is below that of its distribution by up to about a share of D/2M, so compare at equal M. The
    standard error comes from the infinitesimal jackknife: the entropy is a function of the mean of yyᵀ, and an image
    pulls at it by −yᵀ log(Σ yyᵀ/M) y. It leaves out the bias, and there is none with M ≤ D: images that are all unlike
    each other pull alike, and so few mostly are.
    Raises InputError (fewer than 2 images, numbers that are not finite).
    """
    rows = _directions(as_features(features, "fake"))
    count = len(rows)
    enough = count > rows.shape[1]
    values, vectors = np.linalg.eigh((rows.T @ rows if enough else rows @ rows.T) / count)
    there = values > len(values) * np.finfo(np.float64).eps  # the rest is rounding: the values add up to 1
    entropy = -float(values[there] @ np.log(values[there]))
    value = float(np.exp(max(0.0, entropy)))  # of copies, rounding may leave a little below 0
    if not enough:
        few = f"{count} images for {rows.shape[1]} features are few: the score is too low, and its error is not known"
        return Value(value, notes=(few,))
    pulls = -np.square(rows @ vectors)[:, there] @ np.log(values[there])
    error = float(value * pulls.std(ddof=1) / np.sqrt(count))
    kind = "standard error from the sampling of the generated images (infinitesimal jackknife); leaves out the bias"
    return Value(value, error, kind, standard_errors(0.0, error))


def _directions(rows: Floats) -> Floats:
    """The rows (M, D) divided by their lengths; of those of length 0, a column more, which is theirs alone."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    zero = largest[:, 0] == 0
    rows = rows / np.where(largest > 0, largest, 1.0)  # first, so that no square is lost
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1.0)
    return np.concatenate([rows, zero[:, None]], axis=1) if zero.any() else rows
