"""Denoising diffusion: a network that sees the noise in an image."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from counterfeit.models.ddpm import TIMES, DDIMSampling
from counterfeit.models.diffusion.model import DiffusionModel
from counterfeit.nets import Shape
from counterfeit.system.noise import Noise

MOST_BETA = 0.999  # of the cosine schedule, whose last beta would be 1


@final
class DDPM(DiffusionModel):
    """Ho, Jain & Abbeel 2020 (arXiv:2006.11239), sampled by DDIM: Song, Meng & Ermon 2021 (arXiv:2010.02502).

    x_t = sqrt(ᾱ_t) x + sqrt(1 - ᾱ_t) ε, from an image x in [-1, 1] at t = 0 to noise ε ~ N(0, I) at t = T (eq. 4);
    loss = E |ε(x_t, t) - ε|², the mean over pixels, t uniform on 1 … T for each image (eq. 14).
    The velocity, which may be predicted instead, is sqrt(ᾱ_t) ε - sqrt(1 - ᾱ_t) x: Salimans & Ho 2022
    (arXiv:2202.00512), section 4.
    """

    part = "denoiser"
    signal: Tensor  # sqrt(ᾱ_t) for t = 0 … T
    spread: Tensor  # sqrt(1 - ᾱ_t)

    def __init__(self, net: nn.Module, shape: Shape, noise_schedule: str, predict: str) -> None:
        super().__init__(net, shape)
        self.predict = predict
        kept = SCHEDULES[noise_schedule]()
        dtype = torch.get_default_dtype()
        self.register_buffer("signal", kept.sqrt().to(dtype), persistent=False)
        self.register_buffer("spread", (1 - kept).sqrt().to(dtype), persistent=False)

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        x = x * 2 - 1
        noise, t = self.noise(len(x), rng), 1 + (rng.uniform(len(x)) * TIMES).long()
        signal, spread = (kept[t].view(-1, 1, 1, 1) for kept in (self.signal, self.spread))
        target = noise if self.predict == "noise" else signal * noise - spread * x
        error = self.net(signal * x + spread * noise, t / TIMES, y) - target
        return {"error": error.square().flatten(1).mean(1)}

    def decode(self, z: Tensor, y: Tensor | None = None, options: DDIMSampling | None = None) -> Tensor:
        options = options or DDIMSampling()
        times = [i * TIMES // options.steps for i in range(options.steps, -1, -1)]  # T … 0
        x = z
        for t, earlier in zip(times, times[1:], strict=False):
            image = self.denoised(x, t, y, options)
            # Eq. 12 with sigma = 0, and the noise that leads from the clipped image to x.
            noise = (x - self.signal[t] * image) / self.spread[t]
            x = self.signal[earlier] * image + self.spread[earlier] * noise
        return (x / 2 + 0.5).clamp(0, 1)

    def denoised(self, x: Tensor, t: int, y: Tensor | None, options: DDIMSampling) -> Tensor:
        """The images, in [-1, 1], that the network sees in x, which is at the time t."""
        found = self.predicted(x, t / TIMES, y, options)
        if self.predict == "noise":
            image = (x - self.spread[t] * found) / self.signal[t]
        else:
            image = self.signal[t] * x - self.spread[t] * found
        return image.clamp(-1, 1)


def linear() -> Tensor:
    """ᾱ_t for t = 0 … T, with β from 1e-4 to 0.02: Ho et al. 2020, section 4."""
    return _products(1 - torch.linspace(1e-4, 0.02, TIMES, dtype=torch.float64, device="cpu"))


def cosine() -> Tensor:
    """ᾱ_t for t = 0 … T, a squared cosine: Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. 17."""
    share = torch.arange(TIMES + 1, dtype=torch.float64, device="cpu") / TIMES
    kept = ((share + 0.008) / 1.008 * math.pi / 2).cos().square()
    return _products((kept[1:] / kept[:-1]).clamp(min=1 - MOST_BETA))


def _products(alphas: Tensor) -> Tensor:
    """1, and the products of the first α, of the first two, …"""
    return torch.cat([torch.ones_like(alphas[:1]), alphas.cumprod(0)])


SCHEDULES = {"linear": linear, "cosine": cosine}
