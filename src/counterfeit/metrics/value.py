"""The input and output of every metric: checked float64 features in, a `Value` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.errors import InputError

Floats = NDArray[np.float64]

PROTOCOL_SEED = 2020
"""torch-fidelity's default seed: with it the subsets are the same as there, in the same order."""

RULE_OF_THREE = 1.5
"""The standard error of a share is at least this over n. If something occurs in none of n images, then with 95 %
confidence it occurs in at most 3/n of all images (Hanley & Lippman-Hand 1983), which is twice this error. It exceeds
the binomial error for up to 2 hits only."""

LARGEST = 1e30
"""Larger features are rejected: their cube, which KID needs, is close to the limit of float64."""


@dataclass(frozen=True)
class Value:
    """One value of a score, with what is needed to interpret it.

    `uncertainty` is the number after the ±, in the unit of `value`: a standard error; `uncertainty_kind` says what it
    covers. None if there is no estimate. `extras` are other numbers of the same measurement, by snake_case name; those
    of `standard_errors` say which part of the standard error comes from which set.
    `notes` are sentences for the reader: a smaller protocol than requested, a warning, a flag.
    """

    value: float
    uncertainty: float | None = None
    uncertainty_kind: str = ""
    extras: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def share_error(hits: NDArray[np.bool_]) -> float:
    """Standard error of the share of hits (N,) among independent images, never below RULE_OF_THREE / N."""
    known = float(hits.std(ddof=1) / np.sqrt(len(hits))) if len(hits) > 1 else 0.0
    return max(known, RULE_OF_THREE / len(hits))


def standard_errors(real: float, fake: float) -> dict[str, float]:
    """The extras that give the part of a standard error due to the sampling of one set, with the other set fixed.

    Their squares add up to the square of the total or to more, because the joint effect of both sets is in each of
    them.
    """
    return {"standard_error_real": real, "standard_error_fake": fake}


def as_features(features: ArrayLike, name: str, least: int = 2) -> Floats:
    """Return features (N, D) as float64, or raise InputError.

    `name` identifies the set in the message; `least` is the smallest N allowed.
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{name} features must have the shape (images, features), not {array.shape}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} features must be real numbers, not {array.dtype}")
    if len(array) < least:
        raise InputError(f"{name} features are of {len(array)} image(s); at least {least} are needed")
    array = array.astype(np.float64, copy=False)
    # NaN compares false, so this one test finds NaN, infinities and absurdly large values.
    if not max(array.max(), -array.min()) <= LARGEST:
        bad = np.count_nonzero(~(np.abs(array) <= LARGEST).all(axis=1))
        raise InputError(
            f"{name} features: {bad} of {len(array)} images have NaN, infinite or huge (over {LARGEST:g}) ones; "
            "look at these images and at the detector's weights"
        )
    return array


def as_pair(real: ArrayLike, fake: ArrayLike, names: tuple[str, str] = ("real", "fake")) -> tuple[Floats, Floats]:
    """Return two sets of features (N, D) and (M, D) as float64, or raise InputError."""
    first, second = as_features(real, names[0]), as_features(fake, names[1])
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"{names[0]} features have {first.shape[1]} columns and {names[1]} features {second.shape[1]}; "
            "both must come from the same detector"
        )
    return first, second
