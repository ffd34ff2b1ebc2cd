"""The autoencoder: no noise in training, and no prior to sample from."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from counterfeit.models.base import Autoencoder
from counterfeit.models.losses import Likelihood
from counterfeit.system.noise import Noise

MEMORY = 0.01  # weight of the newest batch in the running moments of the codes: they look back about 100 steps


@final
class AE(Autoencoder):
    """Reconstruction only: loss = -log p(x|z) at z = encoder(x), in nats, mean over the batch.

    An autoencoder has no distribution of z. To sample from it at all, we draw z from the Gaussian that fits its codes
    of the training images, as Ghosh et al. 2020 (arXiv:1903.12436, section 4) do after training; here the codes' mean
    and second moment are tracked while training, as buffers, so that a checkpoint is all that sampling needs.
    """

    mean: Tensor  # (Z,)
    second: Tensor  # (Z, Z): E[z zᵀ]
    batches: Tensor  # (): how many batches the moments have seen

    def __init__(self, encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, latent: int) -> None:
        """`encoder` gives (B, Z); `decoder` gives the likelihood's parameters."""
        super().__init__((latent,))
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.register_buffer("mean", torch.zeros(latent))
        # Not torch.eye: on the meta device, where sizes are checked, it imports torch._dynamo, which takes a second.
        self.register_buffer("second", torch.zeros(latent, latent).fill_diagonal_(1.0))
        self.register_buffer("batches", torch.zeros(()))

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        z = self.encoder(x)
        if self.training:
            self._track(z.detach())
        return {"reconstruction": self.likelihood.nll(self.decoder(z), x)}

    @torch.no_grad()
    def _track(self, z: Tensor) -> None:
        self.batches += 1
        weight = self.batches.reciprocal().clamp(min=MEMORY)  # a plain average until the memory is full
        self.mean.lerp_(z.mean(0), weight)
        # No matrix product: the moments are float32's, whatever products are computed in.
        self.second.lerp_((z[:, :, None] * z[:, None, :]).mean(0), weight)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.encoder(x)

    def noise(self, n: int, rng: Noise) -> Tensor:
        # On the CPU: a card chooses other signs of the axes, by which a seed draws other images; or has no float64.
        mean, second = self.mean.cpu().double(), self.second.cpu().double()
        # A covariance from running moments can miss positive definiteness by rounding: eigh and a clamp always work.
        variances, axes = torch.linalg.eigh(second - torch.outer(mean, mean))
        eps = rng.normal(n, *self.latent_shape)
        return self.mean + eps @ (axes * variances.clamp(min=0).sqrt()).T.float().to(eps.device)

    def decode(self, z: Tensor, y: Tensor | None = None, options: Any = None) -> Tensor:
        return self.likelihood.mean(self.decoder(z))
