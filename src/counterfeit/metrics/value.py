"""What every metric takes and returns: checked float64 features in, a `Value` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.errors import InputError

Floats = NDArray[np.float64]

PROTOCOL_SEED = 2020
"""torch-fidelity's default seed: with it the same subsets, in the same order, are drawn as there."""

RULE_OF_THREE = 1.5
"""A share's standard error is at least this over n: what was seen in none of n images is, with 95 %, in up to 3/n of
all (Hanley & Lippman-Hand 1983), and twice the error says so. It is more than the binomial error up to 2 hits only."""

LARGEST = 1e30
"""Features beyond this size are refused: their cube, which KID needs, is near the end of float64."""


@dataclass(frozen=True)
class Value:
    """One number of a score, with what is needed to read it.

    `uncertainty` is what stands after the ±, in the unit of `value`: a standard error, of which `uncertainty_kind` says
    what it covers; None where none can be given. `extras` are further numbers of the same measurement, by snake_case
    name. With `standard_errors` they say which part of the standard error is whose.
    `notes` are sentences for the reader: a smaller protocol than asked for, a warning, a flag.
    """

    value: float
    uncertainty: float | None = None
    uncertainty_kind: str = ""
    extras: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def share_error(hits: NDArray[np.bool_]) -> float:
    """The standard error of the share of hits (N,) among independent images, never below RULE_OF_THREE."""
    known = float(hits.std(ddof=1) / np.sqrt(len(hits))) if len(hits) > 1 else 0.0
    return max(known, RULE_OF_THREE / len(hits))


def standard_errors(real: float, fake: float) -> dict[str, float]:
    """The extras that say how much of a standard error is from the sampling of one set, with the other set fixed.

    The squares add up to the whole one's, or to more: what both sets bring about together is in each.
    """
    return {"standard_error_real": real, "standard_error_fake": fake}


def as_features(features: ArrayLike, name: str, least: int = 2) -> Floats:
    """Return features (N, D) as float64, or raise InputError.

    `name` says in the message which set it is; `least` is the smallest N that is of use.
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{name} features must have the shape (images, features), not {array.shape}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} features must be real numbers, not {array.dtype}")
    if len(array) < least:
        raise InputError(f"{name} features are of {len(array)} image(s); at least {least} are needed")
    array = array.astype(np.float64, copy=False)
    # NaN compares false, so that one test finds NaN, infinities and absurd sizes.
    bad = np.count_nonzero(~(np.abs(array) <= LARGEST).all(axis=1))
    if bad:
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
