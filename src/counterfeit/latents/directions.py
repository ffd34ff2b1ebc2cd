"""Directions in a latent space that are worth following. Arrays only.

Letters: N latents, Z numbers in each, whatever their shape (*latent_shape); K directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterfeit.errors import InputError

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Directions:
    """Orthogonal directions from a center, the most important first.

    Attributes:
        center: (*latent_shape).
        axes: unit vectors, (K, *latent_shape).
        scales: standard deviation of latents along each, (K,).
    """

    center: Floats
    axes: Floats
    scales: Floats

    def step(self, axis: int) -> Floats:
        """One standard deviation along an axis: (*latent_shape). InputError if there is no such axis."""
        if not 0 <= axis < len(self.axes):
            raise InputError(f"there is no direction {axis}: choose 0 to {len(self.axes) - 1}")
        return np.asarray(self.axes[axis] * self.scales[axis])


def random(like: Floats, count: int, seed: int) -> Directions:
    """Orthogonal directions drawn uniformly, around the mean of latents `like` (N, *latent_shape)."""
    flat, center = _centered(like)
    drawn = np.random.default_rng(seed).standard_normal((flat.shape[1], _at_most(count, flat)))
    return _directions(np.linalg.qr(drawn)[0].T, flat, center)


def principal(codes: Floats, count: int) -> Directions:
    """The principal components of codes (N, *latent_shape), largest variance first."""
    flat, center = _centered(codes)
    axes = np.linalg.svd(flat, full_matrices=False)[2][: _at_most(count, flat)]
    return _directions(axes, flat, center)


def strongest(
    decode: Callable[[Floats, int], Floats], points: Floats, step: float, like: Floats, count: int
) -> Directions:
    """The directions in which images change the most, at the mean of some points.

    With J the Jacobian of the pixels by the latent, they are the eigenvectors of the mean of Jᵀ J over the points, the
    metric that pixels induce on latents: Wang & Ponce 2021 (arXiv:2101.06006), who find it nearly the same everywhere.
    Nothing is needed of a model but images of latents. GANSpace (Härkönen et al. 2020, arXiv:2004.02546) and SeFa (Shen
    & Zhou 2021, arXiv:2007.06600) would have to know which of its layers is the first.

    Args:
        decode: latents (Z, *latent_shape) near a point, and its number -> pixels, float (Z, …), row by row.
        points: (P, *latent_shape).
        step: half the width of the central differences by which J is estimated.
        like: latents, for the center and the scales, (N, *latent_shape).
        count: how many.
    """
    flat, center = _centered(like)
    width = flat.shape[1]
    metric = np.zeros((width, width))
    moves = (step * np.eye(width)).reshape(width, *points.shape[1:]).astype(np.float32)
    for i, point in enumerate(points):
        ahead, behind = (decode(point + sign * moves, i).reshape(width, -1).astype(np.float64) for sign in (1, -1))
        transposed = (ahead - behind) / (2 * step)  # Jᵀ, (Z, pixels)
        metric += transposed @ transposed.T / len(points)
    axes = np.linalg.eigh(metric)[1].T[::-1]  # eigh has the smallest first
    return _directions(axes[: _at_most(count, flat)], flat, center)


def _centered(latents: Floats) -> tuple[NDArray[np.float64], Floats]:
    """Latents less their mean, (N, Z), and the mean, (*latent_shape)."""
    center = latents.mean(axis=0, dtype=np.float64)
    return (latents - center).reshape(len(latents), -1), center.astype(np.float32)


def _at_most(count: int, flat: Floats) -> int:
    return min(count, *flat.shape)


def _directions(axes: Floats, flat: Floats, center: Floats) -> Directions:
    """Directions of unit vectors (K, Z), whose signs are chosen so that the largest number of each is positive."""
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    scales = (flat @ axes.T).std(axis=0)
    shaped = axes.reshape(len(axes), *center.shape)
    return Directions(center, shaped.astype(np.float32), scales.astype(np.float32))
