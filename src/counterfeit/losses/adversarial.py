"""Adversarial losses as pairs, on raw discriminator outputs D (B, 1), unreduced: each returns (B, 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from counterfeit.registry import Registry


@dataclass(frozen=True)
class Adversarial:
    """One game's two losses, both to be minimised.

    Attributes:
        discriminator: (D(x), D(G(z))) -> loss a pair of a real and a generated sample.
        generator: D(G(z)) -> loss a generated sample.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


ADVERSARIAL: Registry[Adversarial] = Registry("adversarial loss")


def bce_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))): Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1; here D = σ(raw output)."""
    return F.softplus(-real) + F.softplus(fake)


ADVERSARIAL.add(
    # The non-saturating form, Goodfellow et al. 2014, section 3: G maximises log D(G(z)).
    "bce",
    Adversarial(discriminator=bce_discriminator, generator=lambda fake: F.softplus(-fake)),
)
ADVERSARIAL.add(
    # The game as eq. 1 prints it: G minimises log(1 - D(G(z))), which saturates while D is winning.
    "minimax",
    Adversarial(discriminator=bce_discriminator, generator=lambda fake: -F.softplus(fake)),
)
ADVERSARIAL.add(
    # Mao et al. 2017 (arXiv:1611.04076), eq. 9: a = 0, b = c = 1.
    "least-squares",
    Adversarial(
        discriminator=lambda real, fake: 0.5 * (real - 1).square() + 0.5 * fake.square(),
        generator=lambda fake: 0.5 * (fake - 1).square(),
    ),
)
