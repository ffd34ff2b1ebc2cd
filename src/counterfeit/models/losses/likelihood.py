"""Terms of the negative ELBO, in nats per image, unreduced: (B, …) -> (B,)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfeit.registry import Registry


@dataclass(frozen=True)
class Likelihood:
    """p(x|z) of an image x, given what a decoder makes of z.

    Attributes:
        nll: raw outputs (B, C * planes, H, W) and images (B, C, H, W) in [0, 1] -> -log p(x|z) in nats: (B,).
        mean: raw outputs -> the image that goes with them, (B, C, H, W) in [0, 1].
        planes: numbers that the decoder gives for each pixel and channel.
    """

    nll: Callable[[Tensor, Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    planes: int = 1

    def outputs(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of what the decoder gives for images of this shape, (C, H, W)."""
        c, h, w = shape
        return c * self.planes, h, w


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")


def bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """-Σ x log σ(l) + (1-x) log(1-σ(l)) over pixels: Kingma & Welling 2013 (arXiv:1312.6114), appendix C.1.

    On gray pixels this is no normalized likelihood (Loaiza-Ganem & Cunningham 2019): its nats compare runs on the same
    data, and nothing else.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


LIKELIHOODS.add("bernoulli", Likelihood(nll=bernoulli, mean=torch.sigmoid))


def kl_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, I)) for diagonal covariance: Kingma & Welling 2013, appendix B. (B, Z) -> (B,)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
