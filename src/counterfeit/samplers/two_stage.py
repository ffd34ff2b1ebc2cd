"""A VAE of codes: the second stage of Dai & Wipf 2019 (arXiv:1903.05789), fitted to a trained autoencoder."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from counterfeit.errors import InputError
from counterfeit.system.console import progress
from counterfeit.system.noise import Noise

WIDTH = 512  # units of the two hidden layers of each network
EPOCHS = 30
BATCH = 256
LR = 1e-3  # of the first step; falls to 0 along a cosine
WARM_UP = 0.25  # of all steps, in which the weight of the KL term rises from 0: with the full weight it may collapse
LEAST = 2  # codes
TINY = 1e-8  # least γ², of codes of variance 1

Floats = NDArray[np.float64]


class SecondStage:
    """u ~ N(0, I), z = g(u) + γ ε: the decoder of a VAE of codes z (Z,), with as many latents u and the best γ."""

    def __init__(self, decoder: nn.Module, gamma: Tensor, mean: Tensor, scale: Tensor) -> None:
        """`mean` and `scale` (Z,) are those of the codes: the networks see codes of mean 0 and variance 1."""
        self.decoder, self.gamma, self.mean, self.scale = decoder, gamma, mean, scale

    @classmethod
    def fit(cls, codes: Floats) -> SecondStage:
        """The decoder of a VAE that is trained on codes (N, Z), always from the same seed.

        Raises InputError for codes that are not finite, or too few.
        """
        if not np.isfinite(codes).all():
            raise InputError("the model's codes are not finite: its weights are of no use")
        if len(codes) < LEAST:
            raise InputError(f"{len(codes)} images are too few to fit a second VAE to")
        mean, scale = codes.mean(axis=0), codes.std(axis=0)
        z = torch.from_numpy((codes - mean) / np.where(scale > 0, scale, 1.0)).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            vae = _VAE(z.shape[1])
            _train(vae, z)
            gamma = vae.gamma(z)
        found = cls(vae.decoder.eval(), gamma, torch.from_numpy(mean), torch.from_numpy(scale))
        if not all(torch.isfinite(array).all() for array in found.arrays().values()):
            raise InputError("the second VAE has diverged: use --sampler gmm")
        return found

    @torch.no_grad()
    def noise(self, n: int, rng: Noise) -> Tensor:
        """Draw n latents: float32 (n, Z), on the device of `rng`."""
        u, eps = rng.normal(n, len(self.mean)), rng.normal(n, len(self.mean))
        z = self.decoder(u.cpu()) + self.gamma * eps.cpu()  # on the CPU, so that a seed gives the same everywhere
        return (self.mean + self.scale * z.double()).float().to(u.device)

    def arrays(self) -> dict[str, Tensor]:
        """All that it is, by name, for a file."""
        weights = {f"decoder.{name}": tensor.contiguous() for name, tensor in self.decoder.state_dict().items()}
        return {**weights, "gamma": self.gamma, "mean": self.mean, "scale": self.scale}

    @classmethod
    def forms(cls, latent: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """The types and shapes of the arrays."""
        with torch.device("meta"):
            decoder = _MLP(latent, latent)
        found = {
            f"decoder.{name}": (tensor.dtype, tuple(tensor.shape)) for name, tensor in decoder.state_dict().items()
        }
        return {**found, "gamma": (torch.float32, ()), **dict.fromkeys(("mean", "scale"), (torch.float64, (latent,)))}

    @classmethod
    def read(cls, arrays: Mapping[str, Tensor]) -> SecondStage:
        """The sampler of these arrays, whose names and shapes are right."""
        latent = len(arrays["mean"])
        with torch.random.fork_rng(devices=[]):
            decoder = _MLP(latent, latent)
        weights = {
            name.removeprefix("decoder."): array for name, array in arrays.items() if name.startswith("decoder.")
        }
        decoder.load_state_dict(weights)
        return cls(decoder.eval(), *(arrays[name] for name in ("gamma", "mean", "scale")))


class _MLP(nn.Module):
    """Two hidden layers; the input joins the last one again, as in the authors' networks."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.out = nn.Linear(WIDTH + inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.hidden(x), x], dim=1))


class _VAE(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _MLP(latent, 2 * latent), _MLP(latent, latent)

    def terms(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Of codes (B, Z): the mean squared error of reconstructions, which is γ² at its best, and the KL term."""
        mean, log_var = self.encoder(z).chunk(2, dim=1)
        u = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum() / len(z)
        return F.mse_loss(self.decoder(u), z) + TINY, kl

    def loss(self, z: Tensor, weight: float) -> Tensor:
        """The negative ELBO of codes (B, Z) with the best γ, in nats and less a constant, and this weight of the KL."""
        square, kl = self.terms(z)
        return 0.5 * z.shape[1] * square.log() + weight * kl

    @torch.no_grad()
    def gamma(self, z: Tensor) -> Tensor:
        """The best γ for all codes."""
        return self.terms(z)[0].sqrt()


def _train(vae: _VAE, z: Tensor) -> None:
    steps, done = EPOCHS * math.ceil(len(z) / BATCH), 0
    optimizer = torch.optim.Adam(vae.parameters(), LR)
    with progress(f"{EPOCHS} epochs of a second VAE", steps) as advance:
        for _ in range(EPOCHS):
            for batch in z[torch.randperm(len(z))].split(BATCH):
                optimizer.param_groups[0]["lr"] = LR * 0.5 * (1 + math.cos(math.pi * done / steps))
                optimizer.zero_grad()
                vae.loss(batch, min(1.0, done / (WARM_UP * steps))).backward()
                optimizer.step()
                done += 1
                advance(1)
