"""Wasserstein GANs: a critic whose values rise about as far as an image moves, at most."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, final

import torch
from torch import Tensor, nn

from counterfeit.models.base import Batch, Losses, Stage, Update, constant
from counterfeit.models.gan.base import AdversarialModel
from counterfeit.system.noise import Noise


class WassersteinGAN(AdversarialModel):
    """Arjovsky, Chintala & Bottou 2017 (arXiv:1701.07875), algorithm 1; how the critic is held, its subclasses say.

    Attributes:
        weight: of the penalties in the critic's loss.
    """

    def __init__(
        self, critic: nn.Module, generator: nn.Module, latent: int, critic_steps: int, augment: Sequence[str] = ()
    ) -> None:
        """`critic` gives values (B, 1) without batch norm, whose gradient by an image would depend on other images.

        `critic_steps` are its updates before each one of the generator: n_critic.
        """
        super().__init__((latent,))
        self.critic, self.generator = critic, generator
        self.critic_steps, self.augment, self.weight = critic_steps, augment, 0.0

    def networks(self) -> dict[str, nn.Module]:
        return {"critic": self.critic, "generator": self.generator}

    def stages(self) -> Sequence[Stage]:
        return [Stage(self.step, batches=self.critic_steps)]

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        rows = [self.critic_step(x, update, rng) for x, _ in batches]
        with constant(self.critic):
            fake = self.generate(self.noise(len(batches[0].x), rng))
            g_loss = -self.critic(self.shown(fake, rng)).mean()
        update("generator", g_loss)
        return {name: torch.stack([row[name] for row in rows]).mean() for name in rows[0]} | {"g_loss": g_loss}

    def critic_step(self, x: Tensor, update: Update, rng: Noise) -> Losses:
        """One update of the critic by images (B, C, H, W) in [0, 1]."""
        with torch.no_grad():
            fake = self.shown(self.generate(self.noise(len(x), rng)), rng)
        real = self.shown(x * 2 - 1, rng)
        penalties = self.penalties(real, fake, rng)
        of_real, of_fake = self.critic(torch.cat([real, fake])).chunk(2)  # (B, 1) each
        d_loss = of_fake.mean() - of_real.mean()  # its negative is the distance's estimate, which the critic maximizes
        update("critic", reduce(torch.add, [*(self.weight * penalty for penalty in penalties.values()), d_loss]))
        self.after_update()
        return {"d_loss": d_loss.detach()} | {name: penalty.detach() for name, penalty in penalties.items()}

    def penalties(self, real: Tensor, fake: Tensor, rng: Noise) -> Losses:
        """Terms that hold the critic, by name and without their weight; of images (B, C, H, W) that it is shown."""
        return {}

    def after_update(self) -> None:
        """What holds the critic after each of its updates."""

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.normal(n, *self.latent_shape)


@final
class WGAN(WassersteinGAN):
    """The critic's weights are clipped, which bounds how fast it can rise: algorithm 1, line 7."""

    def __init__(self, *rest: Any, clip: float, **named: Any) -> None:
        """`clip` is the paper's c: every weight of the critic is between -c and c after its updates."""
        super().__init__(*rest, **named)
        self.clip = clip

    @torch.no_grad()
    def after_update(self) -> None:
        for weights in self.critic.parameters():
            weights.clamp_(-self.clip, self.clip)


@final
class WGANGP(WassersteinGAN):
    """Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1: the critic's gradient is to be of length 1."""

    def __init__(self, *rest: Any, weight: float, **named: Any) -> None:
        """`weight` is the paper's λ."""
        super().__init__(*rest, **named)
        self.weight = weight

    def penalties(self, real: Tensor, fake: Tensor, rng: Noise) -> Losses:
        share = rng.uniform(len(real), 1, 1, 1)
        return {"penalty": gradient_penalty(self.critic, share * real + (1 - share) * fake).mean()}


def gradient_penalty(critic: nn.Module, x: Tensor) -> Tensor:
    """Images x̂ (B, C, H, W) -> (‖∇ D(x̂)‖ - 1)², each (B,): eq. 3, without its weight.

    The norm is over all numbers of an image: its channels, rows and columns. It is penalized on both sides of 1.
    """
    x = x.detach().requires_grad_()
    # D of one image depends on no other: the gradient of the sum holds every image's own.
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    squares = gradient.flatten(1).square().sum(1)
    # The root of 0 has an infinite slope, and a critic that is flat at one x̂ would make all weights NaN.
    return ((squares + 1e-12).sqrt() - 1).square()
