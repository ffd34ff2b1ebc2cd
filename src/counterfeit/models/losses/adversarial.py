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
        discriminator: (D(x), D(G(z)), target) -> loss a pair of a real and a generated sample; target is what D shall
            say of a real one: 1, or less with one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498, 3.4).
        generator: D(G(z)) -> loss a generated sample.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor], Tensor]


ADVERSARIAL: Registry[Adversarial] = Registry("adversarial loss")


def bce_discriminator(real: Tensor, fake: Tensor, target: float) -> Tensor:
    """-t log D(x) - (1-t) log(1 - D(x)) - log(1 - D(G(z))), D = σ(raw output), t the target.

    With t = 1 it is Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1.
    """
    return F.softplus(-real) + (1 - target) * real + F.softplus(fake)  # softplus(v) = softplus(-v) + v


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
    # Mao et al. 2017 (arXiv:1611.04076), eq. 9: a = 0, c = 1 and b the target, 1 there.
    "least-squares",
    Adversarial(
        discriminator=lambda real, fake, target: 0.5 * (real - target).square() + 0.5 * fake.square(),
        generator=lambda fake: 0.5 * (fake - 1).square(),
    ),
)
