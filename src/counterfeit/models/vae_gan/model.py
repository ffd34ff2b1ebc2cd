"""The VAE/GAN: a variational autoencoder whose errors are measured in what a discriminator sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.models.base import Batch, Losses, Update, constant
from counterfeit.models.gan.base import AdversarialModel
from counterfeit.models.losses import ADVERSARIAL, kl_standard_normal
from counterfeit.system.noise import Noise


@final
class VAEGAN(AdversarialModel):
    """Larsen et al. 2016 (arXiv:1512.09300), algorithm 1, with x̃ = G(z) for z of q(z|x) and G(z_p) for z_p of N(0, I).

    Each loss is the mean over images of
    encoder: KL(q(z|x) ‖ N(0, I)) + L, where L = ½ ‖D_l(x) - D_l(x̃)‖², summed over features (eq. 7 without a constant);
    generator: w L - (1 - w) (log D(x̃) + log D(G(z_p)));
    discriminator: -log D(x) - log (1 - D(x̃)) - log (1 - D(G(z_p))).
    What the discriminator makes of an image does not reach the encoder, and L does not reach the discriminator (section
    2.3). All three are of the networks before the step. D_l is the output of the discriminator's convolutions.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: int,
        weight: float,
        augment: Sequence[str] = (),
    ) -> None:
        """`encoder` gives (B, 2Z), mean and log variance; `discriminator` raw outputs (B, 1), by way of its `features`.

        `weight` is w; the paper has γ, of L alone.
        """
        super().__init__((latent,))
        self.encoder, self.generator, self.discriminator = encoder, generator, discriminator
        self.weight, self.augment = weight, augment

    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "generator": self.generator, "discriminator": self.discriminator}

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, _),) = batches
        real, z_p = x * 2 - 1, self.noise(len(x), rng)
        mu, logvar = self.posterior(x)
        z = torch.addcmul(mu, rng.normal(*mu.shape), (0.5 * logvar).exp())
        kl = kl_standard_normal(mu, logvar).mean()
        with torch.no_grad():
            wanted = self._features(real)

        with constant(self.generator), constant(self.discriminator):
            features = self._distance(wanted, self.generate(z)).mean()
        again, drawn = self.generate(z.detach()), self.generate(z_p)
        with constant(self.discriminator):
            of_fakes = F.softplus(-self.discriminator(self.shown(torch.cat([again, drawn]), rng)))  # (2B, 1)
            g_loss = self.weight * self._distance(wanted, again).mean() + (1 - self.weight) * 2 * of_fakes.mean()
        shown = self.shown(torch.cat([real, again.detach(), drawn.detach()]), rng)
        of_real, of_again, of_drawn = self.discriminator(shown).chunk(3)  # (B, 1) each
        d_loss = (F.softplus(-of_real) + F.softplus(of_again) + F.softplus(of_drawn)).mean()

        update("encoder", kl + features)
        update("generator", g_loss)
        update("discriminator", d_loss)
        return {"kl": kl, "features": features, "g_loss": g_loss, "d_loss": d_loss}

    def _features(self, images: Tensor) -> Tensor:
        """D_l of images in [-1, 1]: (B, F)."""
        features = self.discriminator.features
        assert isinstance(features, nn.Module)
        return features(images).flatten(1).float()

    def _distance(self, wanted: Tensor, images: Tensor) -> Tensor:
        """L of features (B, F) and images in [-1, 1]: (B,)."""
        return 0.5 * (wanted - self._features(images)).square().sum(1)

    def judged(self, x: Tensor, y: Tensor | None, rng: Noise) -> Tensor:
        """See `Judges`; of samples, and not of what is encoded and decoded, which are nearer to the images."""
        shown = self.shown(x * 2 - 1, rng), self.shown(self.generate(self.noise(len(x), rng)), rng)
        real, fake = (self.discriminator(images) for images in shown)
        return ADVERSARIAL["bce"].judged(real, fake)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `HasPosterior`."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.posterior(x)[0]

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.normal(n, *self.latent_shape)
