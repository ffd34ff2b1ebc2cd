"""Generative adversarial networks: counterfeiters and police."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from counterfeit.models.base import Batch, Losses, Update, constant
from counterfeit.models.gan.base import AdversarialModel
from counterfeit.models.losses import Adversarial
from counterfeit.system.noise import Noise


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
        *,
        penalty: float = 0.0,
        penalty_share: float = 1.0,
        augment: Sequence[str] = (),
        normal: bool = False,
    ) -> None:
        """`discriminator` gives raw outputs (B, 1); `generator` gives pixels before the tanh.

        `target` is what the discriminator shall say of a real image, `instance_noise` the standard deviation of noise
        on every image that it sees (Sønderby et al. 2017, arXiv:1610.04490), `penalty` the weight γ of R1 and R2, see
        `squared_gradient`, which are taken on `penalty_share` of a batch. Latents are uniform on [-1, 1], or standard
        `normal`.
        """
        super().__init__((latent,), classes)
        self.discriminator, self.generator, self.loss = discriminator, generator, loss
        self.target, self.instance_noise = target, instance_noise
        self.penalty, self.penalty_share = penalty, penalty_share
        self.augment, self.normal = augment, normal

    def networks(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, y),) = batches
        n, real = len(x), x * 2 - 1
        fake = self.generate(self.noise(n, rng), y)

        shown = torch.cat([self.shown(real, rng), self.shown(fake.detach(), rng)])
        shown.requires_grad_(self.penalty > 0 and self.penalty_share == 1)
        both = self.discriminator(shown, None if y is None else y.repeat(2))  # one pass is quicker than two
        d_loss = self.loss.discriminator(both[:n, :1], both[n:, :1], self.target).mean()
        d_terms = {"d_loss": d_loss} | self.of_discriminator(both, y) | self.slope(shown, both, y, rng)
        update("discriminator", total(d_terms))

        with constant(self.discriminator):
            again = self.discriminator(self.shown(fake, rng), y)
            of_real = (
                self.discriminator(self.shown(real, rng), y)[:, :1] if self.loss.relative else both[:n, :1].detach()
            )
            g_terms = {"g_loss": self.loss.generator(of_real, again[:, :1]).mean()} | self.of_generator(again, y)
        update("generator", total(g_terms))
        return d_terms | g_terms

    def slope(self, shown: Tensor, both: Tensor, y: Tensor | None, rng: Noise) -> Losses:
        """The penalty γ/2 (R1 + R2), or nothing where γ is 0.

        Args:
            shown: real images, then generated ones, as the discriminator sees them: (2B, C, H, W).
            both: its outputs of them: (2B, …).
            y: labels of each half: (B,) or None.
            rng: tells which rows of the batch these are.
        """
        if not self.penalty:
            return {}
        weight = 1.0
        if self.penalty_share < 1:  # second derivatives cost as much as all else: a pass of few images spares most
            rows, weight = first_rows(len(shown) // 2, self.penalty_share, rng)
            shown = torch.cat([half[:rows] for half in shown.detach().chunk(2)]).requires_grad_()
            both = self.discriminator(shown, None if y is None else y[:rows].repeat(2))
        # R1 on the real half and R2 on the other: a mean over pairs, of a sum for each.
        return {"penalty": weight * self.penalty * squared_gradient(both[:, 0], shown).mean()}

    def of_discriminator(self, both: Tensor, y: Tensor | None) -> Losses:
        """Terms of the discriminator's loss beside the adversarial one and the penalty, by name, weighted.

        Args:
            both: its outputs of real images, then of generated ones: (2B, …).
            y: labels of each half: (B,) or None.
        """
        return {}

    def of_generator(self, outputs: Tensor, y: Tensor | None) -> Losses:
        """Terms of the generator's loss beside the adversarial one, by name, weighted; of the outputs of its images."""
        return {}

    def judged(self, x: Tensor, y: Tensor | None, rng: Noise) -> Tensor:
        """See `Judges`."""
        shown = self.shown(x * 2 - 1, rng), self.shown(self.generate(self.noise(len(x), rng), y), rng)
        real, fake = (self.discriminator(images, y)[:, :1] for images in shown)
        return self.loss.judged(real, fake)

    def shown(self, images: Tensor, rng: Noise) -> Tensor:
        """Images in [-1, 1] as the discriminator sees them: changed, and with instance noise on them."""
        images = super().shown(images, rng)
        return images + self.instance_noise * rng.normal(*images.shape) if self.instance_noise else images

    def noise(self, n: int, rng: Noise) -> Tensor:
        if self.normal:
            return rng.normal(n, *self.latent_shape)
        return rng.uniform(n, *self.latent_shape) * 2 - 1  # uniform on [-1, 1]


def total(terms: Losses) -> Tensor:
    """Their sum."""
    return reduce(torch.add, terms.values())


def first_rows(n: int, share: float, rng: Noise) -> tuple[int, float]:
    """How many of the n rows here are among the batch's first, a share of it, at least one; and what their mean counts.

    So counted, the mean of the processes' means is the mean over that share, however many processes there are.
    """
    of_all = max(1, round(share * n * rng.world))
    here = len(range(rng.rank, of_all, rng.world))  # a process has every `world`th row
    return max(1, here), here * rng.world / of_all


def squared_gradient(outputs: Tensor, images: Tensor) -> Tensor:
    """Outputs (B,) of images (B, C, H, W), each of its own one -> ‖∇ D(x)‖², (B,).

    Times γ/2, its mean over real images is R1 and over generated ones R2: Mescheder, Geiger & Nowozin 2018
    (arXiv:1801.04406), eqs. 9 and 10.
    """
    (gradient,) = torch.autograd.grad(outputs.sum(), images, create_graph=True)
    return gradient.flatten(1).square().sum(1)
