"""Mixtures of Gaussians, fitted by expectation maximization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterfeit.errors import InputError
from counterfeit.system.console import progress
from counterfeit.system.memory import check_room
from counterfeit.system.noise import Noise
from counterfeit.system.words import count

Floats = NDArray[np.float64]

MOST_ROUNDS = 100
ENOUGH = 1e-3  # nats a code: rounds end when one gains less
RIDGE = 1e-6  # times the codes' mean variance: added to every variance, so that no component can shrink to a point


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Gaussians over latents (Z,), with full covariances; of one component, a Gaussian."""

    weights: Floats
    """(K,) shares, which add up to 1."""
    means: Floats
    """(K, Z)"""
    factors: Floats
    """(K, Z, Z) lower triangular, each the Cholesky factor of a covariance."""

    @classmethod
    def fit(cls, codes: Floats, components: int, seed: int = 0) -> Mixture:
        """The maximum of the likelihood of codes (N, Z) that expectation maximization finds from a seeded start.

        Dempster, Laird & Rubin 1977. It starts at codes that lie apart (k-means++, Arthur & Vassilvitskii 2007). Raises
        InputError for codes that are not finite, or too few.
        """
        if not np.isfinite(codes).all():
            raise InputError("the model's codes are not finite: its weights are of no use")
        if len(codes) < max(2, 2 * components):
            fewer = ": pass fewer --components" if components > 1 else ""
            raise InputError(f"{len(codes)} images are too few to fit {count(components, 'Gaussian')} to{fewer}")
        check_room(4 * 8 * len(codes) * components, f"fitting {components:,} Gaussians", "pass fewer --components")
        ridge = RIDGE * float(codes.var(axis=0).mean()) or RIDGE
        nearest = _distances(codes, _apart(codes, components, np.random.default_rng(seed))).argmin(axis=1)
        found = cls._of(codes, np.eye(components)[nearest], ridge)
        if components == 1:
            return found
        before = -np.inf
        with progress(f"at most {MOST_ROUNDS} rounds of expectation maximization", MOST_ROUNDS) as advance:
            for _ in range(MOST_ROUNDS):
                joint = found._joint(codes)
                each = np.logaddexp.reduce(joint, axis=1)
                found = cls._of(codes, np.exp(joint - each[:, None]), ridge)
                if each.mean() - before < ENOUGH:
                    break
                before = float(each.mean())
                advance(1)
        return found

    @classmethod
    def _of(cls, codes: Floats, shares: Floats, ridge: float) -> Mixture:
        """The best mixture if component k has the share (N, K) of every code."""
        sizes = shares.sum(axis=0) + 1e-12
        means = shares.T @ codes / sizes[:, None]
        factors = []
        for share, size, mean in zip(shares.T, sizes, means, strict=True):
            centered = codes - mean
            covariance = (centered * share[:, None]).T @ centered / size
            factors.append(np.linalg.cholesky(covariance + ridge * np.eye(len(mean))))
        return cls(sizes / sizes.sum(), means, np.stack(factors))

    def _joint(self, codes: Floats) -> Floats:
        """log(weight · density) of every component at every code: (N, K)."""
        found = []
        for weight, mean, factor in zip(self.weights, self.means, self.factors, strict=True):
            whitened = (codes - mean) @ np.linalg.inv(factor).T  # (N, Z)
            log_volume = np.log(np.diag(factor)).sum() + 0.5 * len(mean) * np.log(2 * np.pi)
            found.append(np.log(weight) - log_volume - 0.5 * np.square(whitened).sum(axis=1))
        return np.stack(found, axis=1)

    def log_density(self, codes: Floats) -> Floats:
        """Of codes (N, Z), in nats: (N,)."""
        return np.asarray(np.logaddexp.reduce(self._joint(codes), axis=1))

    def noise(self, n: int, rng: Noise) -> Tensor:
        """Draw n latents: float32 (n, Z), on the device of `rng`."""
        chosen, eps = rng.uniform(n), rng.normal(n, self.means.shape[1])
        edges = torch.from_numpy(np.cumsum(self.weights)[:-1])
        k = torch.searchsorted(edges, chosen.cpu().double(), right=True)
        # On the CPU in float64, so that a seed gives the same latents on every device.
        moved = torch.einsum("nij,nj->ni", torch.from_numpy(self.factors)[k], eps.cpu().double())
        return (torch.from_numpy(self.means)[k] + moved).float().to(eps.device)

    def arrays(self) -> dict[str, Tensor]:
        """All that it is, by name, for a file."""
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in vars(self).items()}

    @classmethod
    def forms(cls, components: int, latent: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """The types and shapes of the arrays."""
        k, z = components, latent
        shapes: dict[str, tuple[int, ...]] = {"weights": (k,), "means": (k, z), "factors": (k, z, z)}
        return {name: (torch.float64, shape) for name, shape in shapes.items()}

    @classmethod
    def read(cls, arrays: Mapping[str, Tensor]) -> Mixture:
        """The mixture of these arrays, whose names and shapes are right. Raises InputError if they are no mixture."""
        found = cls(**{name: array.numpy() for name, array in arrays.items()})
        if (found.weights < 0).any() or not np.isclose(found.weights.sum(), 1):
            raise InputError("its weights are no shares")
        return found


def _apart(codes: Floats, count: int, rng: np.random.Generator) -> Floats:
    """`count` codes, each drawn by its squared distance from the nearest of those before it: (count, Z)."""
    chosen = [codes[rng.integers(len(codes))]]
    while len(chosen) < count:
        square = _distances(codes, np.stack(chosen)).min(axis=1)
        total = square.sum()
        chosen.append(codes[rng.choice(len(codes), p=square / total if total > 0 else None)])
    return np.stack(chosen)


def _distances(codes: Floats, centers: Floats) -> Floats:
    """Squared distances (N, K), not below 0."""
    square = np.square(codes).sum(axis=1)[:, None] + np.square(centers).sum(axis=1) - 2 * codes @ centers.T
    return np.asarray(np.maximum(square, 0.0))
