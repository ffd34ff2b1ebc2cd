"""Paths and planes through a latent space. Arrays only.

Letters: N latents, T points of a path, U and V places of a plane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterfeit.errors import InputError
from counterfeit.system.arguments import shown

Floats = NDArray[np.floating]

PARALLEL = 1e-6  # sine of the angle below which two latents have no arc between them


def checked(z: Floats, shape: tuple[int, ...]) -> Floats:
    """Latents that are finite numbers (N, *shape), as they are. InputError for others."""
    if not is_finite(z) or not z.ndim or z.shape[1:] != shape or not len(z):
        raise InputError(
            f"latents must be finite numbers (N, {', '.join(map(str, shape))}) with N >= 1, not {shown(z)}"
        )
    return z


def is_finite(z: Floats) -> bool:
    """Whether an array is one of finite numbers."""
    return z.dtype.kind in "iuf" and bool(np.isfinite(z).all())


def line(start: Floats, end: Floats, t: Floats) -> Floats:
    """Points at the shares t (T,) of the straight lines from start to end, each (N, …): (N, T, …)."""
    t = t.reshape(1, -1, *[1] * (start.ndim - 1))
    return np.asarray((1 - t) * start[:, None] + t * end[:, None])


def arc(start: Floats, end: Floats, t: Floats) -> Floats:
    """The same along great circles around the origin: float32 (N, T, …).

    Shoemake 1985 (slerp), for latents White 2016 (arXiv:1609.04468): points of a line between two draws of a Gaussian
    of many dimensions are nearer to the origin than nearly any draw is, and those of an arc are not. Where two latents
    have the same or opposite directions, or one is 0, there is no one arc, and this is the line.
    """
    a, b = (one.reshape(len(one), -1).astype(np.float64) for one in (start, end))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.divide((a * b).sum(axis=1), norms, out=np.ones(len(a)), where=norms > 0)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]  # (N, 1)
    curved = np.sin(angle) > PARALLEL
    sine = np.where(curved, np.sin(angle), 1.0)
    t = t.astype(np.float64)[None]
    of_start = np.where(curved, np.sin((1 - t) * angle) / sine, 1 - t)
    of_end = np.where(curved, np.sin(t * angle) / sine, t)
    found = of_start[..., None] * a[:, None] + of_end[..., None] * b[:, None]  # (N, T, Z)
    return found.reshape(len(a), -1, *start.shape[1:]).astype(np.float32)


def plane(origin: Floats, across: Floats, down: Floats, u: Floats, v: Floats) -> Floats:
    """origin + u · across + v · down for every u (U,) in a row and v (V,) in a column: (V, U, *latent_shape)."""
    some = [1] * origin.ndim
    return np.asarray(origin + u.reshape(1, -1, *some) * across + v.reshape(-1, 1, *some) * down)
