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
        generator: (D(x), D(G(z))) -> loss a generated sample; most look at the second alone.
        relative: whether the generator's loss looks at D(x), which is then computed for it.
        undecided: the raw output of a D that takes an image for real or generated with equal right.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False
    undecided: float = 0.0

    def judged(self, real: Tensor, fake: Tensor) -> Tensor:
        """The mean of D's loss, with target 1, over that of an undecided D: see `models.base.Judges`."""
        guess = real.new_full((), self.undecided)
        return self.discriminator(real, fake, 1.0).mean() / self.discriminator(guess, guess, 1.0)


ADVERSARIAL: Registry[Adversarial] = Registry("adversarial loss")


def bce_discriminator(real: Tensor, fake: Tensor, target: float) -> Tensor:
    """-t log D(x) - (1-t) log(1 - D(x)) - log(1 - D(G(z))), D = σ(raw output), t the target.

    With t = 1 it is Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1.
    """
    return F.softplus(-real) + (1 - target) * real + F.softplus(fake)  # softplus(v) = softplus(-v) + v


ADVERSARIAL.add(
    # The non-saturating form, Goodfellow et al. 2014, section 3: G maximises log D(G(z)).
    "bce",
    Adversarial(discriminator=bce_discriminator, generator=lambda real, fake: F.softplus(-fake)),
)
ADVERSARIAL.add(
    # The game as eq. 1 prints it: G minimises log(1 - D(G(z))), which saturates while D is winning.
    "minimax",
    Adversarial(discriminator=bce_discriminator, generator=lambda real, fake: -F.softplus(fake)),
)
ADVERSARIAL.add(
    # Mao et al. 2017 (arXiv:1611.04076), eq. 9: a = 0, c = 1 and b the target, 1 there.
    "least-squares",
    Adversarial(
        discriminator=lambda real, fake, target: 0.5 * (real - target).square() + 0.5 * fake.square(),
        generator=lambda real, fake: 0.5 * (fake - 1).square(),
        undecided=0.5,
    ),
)
ADVERSARIAL.add(
    # Lim & Ye 2017 (arXiv:1705.02894); Miyato et al. 2018 (arXiv:1802.05957), eqs. 16 and 17, where the target is 1.
    "hinge",
    Adversarial(
        discriminator=lambda real, fake, target: F.relu(target - real) + F.relu(1 + fake),
        generator=lambda real, fake: -fake,
    ),
)
ADVERSARIAL.add(
    # Jolicoeur-Martineau 2019 (arXiv:1807.00734); Huang et al. 2024 (arXiv:2501.05441), eq. 2, f(t) = -softplus(-t):
    # each real image of a batch is paired with one generated image, and D says which is which.
    "relativistic",
    Adversarial(
        discriminator=lambda real, fake, target: F.softplus(fake - real) + (1 - target) * (real - fake),
        generator=lambda real, fake: F.softplus(real - fake),
        relative=True,
    ),
)
