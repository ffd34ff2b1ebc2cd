"""Generative adversarial networks: counterfeiters and police."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from counterfeit.models.base import Batch, Losses, Update, constant
from counterfeit.models.gan.base import AdversarialModel
from counterfeit.models.losses import Adversarial
from counterfeit.system.noise import Noise


@final
class GAN(AdversarialModel):
    """Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1 with k = 1; the loss decides which game is played.

    With classes > 0, Mirza & Osindero 2014 (arXiv:1411.1784): both networks are given the label.
    Unlike algorithm 1, the generator's update reuses the noise and the fake images of the discriminator's update (which
    the updated discriminator judges again): one generator pass per step, not two.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        generator: nn.Module,
        loss: Adversarial,
        latent: int,
        classes: int = 0,
        target: float = 1.0,
        instance_noise: float = 0.0,
    ) -> None:
        """`discriminator` gives raw outputs (B, 1); `generator` gives pixels before the tanh.

        `target` is what the discriminator shall say of a real image, `instance_noise` the standard deviation of noise
        on every image that it sees (Sønderby et al. 2017, arXiv:1610.04490).
        """
        super().__init__((latent,), classes)
        self.discriminator, self.generator, self.loss = discriminator, generator, loss
        self.target, self.instance_noise = target, instance_noise

    def networks(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, y),) = batches
        real = x * 2 - 1
        fake = self.generate(self.noise(len(x), rng), y)

        shown = torch.cat([self.noisy(real, rng), self.noisy(fake.detach(), rng)])
        of_both = None if y is None else y.repeat(2)
        both = self.discriminator(shown, of_both)  # (2B, 1): one pass is quicker than two
        d_loss = self.loss.discriminator(both[: len(x)], both[len(x) :], self.target).mean()
        update("discriminator", d_loss)

        with constant(self.discriminator):
            g_loss = self.loss.generator(self.discriminator(self.noisy(fake, rng), y)).mean()
        update("generator", g_loss)
        return {"d_loss": d_loss, "g_loss": g_loss}

    def noisy(self, images: Tensor, rng: Noise) -> Tensor:
        """Images in [-1, 1] as the discriminator sees them: with instance noise on them."""
        return images + self.instance_noise * rng.normal(*images.shape) if self.instance_noise else images

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.uniform(n, *self.latent_shape) * 2 - 1  # uniform on [-1, 1]
