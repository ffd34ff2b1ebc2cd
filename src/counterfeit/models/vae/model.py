"""The variational autoencoder, plain or conditional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from counterfeit.models.base import Autoencoder
from counterfeit.models.losses import Likelihood, kl_standard_normal
from counterfeit.system.noise import Noise

RISE = 0.5  # share of the training in which the capacity rises


@final
class VAE(Autoencoder):
    """Kingma & Welling 2013 (arXiv:1312.6114); with classes > 0, Sohn et al. 2015 with a label-free prior.

    loss = E_q(z|x) -log p(x|z)  +  KL(q(z|x) ‖ N(0, I)), with one z an image, in nats; mean over the batch.
    The KL can be weighted in training: Higgins et al. 2017 (beta-VAE, ICLR), who take weights above 1.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        latent: int,
        classes: int = 0,
        kl_weight: float = 1.0,
        capacity: float = 0.0,
    ) -> None:
        """`encoder` gives (B, 2Z): the heads mu and logvar side by side in one Linear.

        `decoder` gives the parameters of the likelihood. With a `capacity` above 0, see `penalties`.
        """
        super().__init__((latent,), classes, {"kl": kl_weight})
        self.encoder, self.decoder, self.likelihood, self.capacity = encoder, decoder, likelihood, capacity

    def caution(self, binarized: bool) -> str:
        """See `HasBound`."""
        return self.likelihood.caution(binarized)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x), each (B, Z)."""
        mu, logvar = self.encoder(x, y).chunk(2, dim=1)
        return mu, logvar

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        mu, logvar = self.posterior(x, y)
        eps = rng.normal(*mu.shape)
        z = torch.addcmul(mu, eps, (0.5 * logvar).exp())  # the reparameterisation trick, eq. 4
        return {
            "reconstruction": self.distortion(z, x, y),
            "kl": kl_standard_normal(mu, logvar),
        }

    def penalties(self, terms: Mapping[str, Tensor], progress: Tensor) -> dict[str, Tensor]:
        """|KL - C| instead of KL, with C rising to the capacity: Burgess et al. 2018 (arXiv:1804.03599), eq. 8."""
        if not self.capacity:
            return {}
        return {"kl": (terms["kl"] - self.capacity * (progress / RISE).clamp(max=1)).abs()}

    def distortion(self, z: Tensor, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.likelihood.nll(self.decoder(z, y), x)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.posterior(x, y)[0]

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.normal(n, *self.latent_shape)

    def decode(self, z: Tensor, y: Tensor | None = None, options: Any = None) -> Tensor:
        return self.likelihood.mean(self.decoder(z, y))
