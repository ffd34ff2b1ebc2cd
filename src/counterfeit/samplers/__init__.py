"""Distributions of latents that are fitted after training to the codes of the training images.

An autoencoder has no distribution of its own to draw latents from, and the codes of a variational one need not fill the
prior that it was trained with. Both make better images from latents that are distributed as the codes are: a mixture of
Gaussians (Ghosh et al. 2020, arXiv:1903.12436), or a second VAE, of the codes (Dai & Wipf 2019, arXiv:1903.05789).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from counterfeit.samplers.mixture import Floats, Mixture
from counterfeit.samplers.two_stage import SecondStage
from counterfeit.system.noise import Noise
from counterfeit.system.words import count


class Sampler(Protocol):
    """A distribution of latents that are vectors."""

    def noise(self, n: int, rng: Noise) -> Tensor:
        """Draw n latents: float32 (n, Z), on the device of `rng`."""

    def arrays(self) -> dict[str, Tensor]:
        """All that it is, by name, for a file."""


@dataclass(frozen=True)
class Kind:
    """A kind of sampler, with what it is fitted by.

    Attributes:
        name: of its files.
        what: what is fitted, for messages.
        fit: from codes (N, Z) to the sampler. Raises InputError.
        read: from its arrays, whose names and shapes are right. Raises InputError.
        forms: from Z to the types and shapes of its arrays.
    """

    name: str
    what: str
    fit: Callable[[Floats], Sampler]
    read: Callable[[Mapping[str, Tensor]], Sampler]
    forms: Callable[[int], dict[str, tuple[torch.dtype, tuple[int, ...]]]]


def kind(name: str, components: int) -> Kind:
    """The kind that options of sampling ask for: see `models.spec.Fitted`."""
    if name == "two-stage":
        return Kind(name, "a second VAE", SecondStage.fit, SecondStage.read, SecondStage.forms)
    return Kind(
        f"{name}{components}",
        count(components, "Gaussian"),
        lambda codes: Mixture.fit(codes, components),
        Mixture.read,
        partial(Mixture.forms, components),
    )
