"""The Wasserstein GAN with gradient penalty: a critic whose values rise about as far as an image moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from counterfeit.models.base import Batch, Losses, Stage, Update, constant
from counterfeit.models.gan.base import AdversarialModel
from counterfeit.system.noise import Noise


@final
class WGANGP(AdversarialModel):
    """Gulrajani et al. 2017 (arXiv:1704.00028), algorithm 1."""

    def __init__(self, critic: nn.Module, generator: nn.Module, latent: int, critic_steps: int, weight: float) -> None:
        """`critic` gives values (B, 1) without batch norm, whose gradient by an image would depend on other images.

        `critic_steps` and `weight`, of the penalty, are the paper's n_critic and λ.
        """
        super().__init__((latent,))
        self.critic, self.generator = critic, generator
        self.critic_steps, self.weight = critic_steps, weight

    def networks(self) -> dict[str, nn.Module]:
        return {"critic": self.critic, "generator": self.generator}

    def stages(self) -> Sequence[Stage]:
        return [Stage(self.step, batches=self.critic_steps)]

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        distances, penalties = [], []
        for x, _ in batches:
            n, real = len(x), x * 2 - 1
            with torch.no_grad():
                fake = self.generate(self.noise(n, rng))
            share = rng.uniform(n, 1, 1, 1)
            penalty = gradient_penalty(self.critic, share * real + (1 - share) * fake).mean()

            of_real, of_fake = self.critic(torch.cat([real, fake])).chunk(2)  # (B, 1) each
            distance = of_real.mean() - of_fake.mean()  # estimates the Wasserstein distance, which the critic maximizes
            update("critic", self.weight * penalty - distance)
            distances.append(distance.detach())
            penalties.append(penalty.detach())

        with constant(self.critic):
            g_loss = -self.critic(self.generate(self.noise(n, rng))).mean()
        update("generator", g_loss)
        return {"d_loss": -torch.stack(distances).mean(), "penalty": torch.stack(penalties).mean(), "g_loss": g_loss}

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.normal(n, *self.latent_shape)


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
