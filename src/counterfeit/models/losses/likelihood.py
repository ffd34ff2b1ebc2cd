"""Terms of the negative ELBO, in nats per image, unreduced: (B, …) -> (B,)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.registry import Registry

LEVELS = 255  # of a pixel, which is an integer from 0 to this
ON_GRAY = (
    "these pixels are not black and white, and on gray ones the Bernoulli cross-entropy is no normalized likelihood: "
    "compare with runs on the same data only, never with published nats; train with --binarize for those"
)


class Likelihood(nn.Module, ABC):
    """p(x|z) of an image x, given what a decoder makes of z; what it learns itself are its parameters.

    Attributes:
        planes: numbers that the decoder gives for each pixel and channel.
    """

    planes = 1

    @abstractmethod
    def nll(self, raw: Tensor, x: Tensor) -> Tensor:
        """Raw outputs (B, C * planes, H, W), images (B, C, H, W) in [0, 1] -> -log p(x|z) in nats: (B,)."""

    @abstractmethod
    def caution(self, binarized: bool) -> str:
        """What to know of its nats, a sentence; "" where they are log probabilities. `binarized`: no pixel is gray."""

    def mean(self, raw: Tensor) -> Tensor:
        """Raw outputs -> the image that goes with them, (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(raw)

    def outputs(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of what the decoder gives for images of this shape, (C, H, W)."""
        c, h, w = shape
        return c * self.planes, h, w


LIKELIHOODS: Registry[type[Likelihood]] = Registry("likelihood")


@LIKELIHOODS.register("bernoulli")
class Bernoulli(Likelihood):
    """-Σ x log σ(l) + (1-x) log(1-σ(l)) over pixels: Kingma & Welling 2013 (arXiv:1312.6114), appendix C.1.

    On gray pixels this is no normalized likelihood (Loaiza-Ganem & Cunningham 2019): its nats compare runs on the same
    data, and nothing else.
    """

    def caution(self, binarized: bool) -> str:
        return "" if binarized else ON_GRAY

    def nll(self, raw: Tensor, x: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(raw, x, reduction="none").flatten(1).sum(1)


class Scaled(Likelihood):
    """A likelihood of one learned scale for all pixels.

    A scale of its own for every pixel could shrink without end where a pixel never changes, such as MNIST's corners.

    Attributes:
        least: the scale never falls below this.
    """

    least: float

    def __init__(self, first: float = 0.3) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(torch.tensor(math.log(first / self.least)))

    def log_scale(self) -> Tensor:
        """The logarithm of the scale: a scalar, never below log(least), and never without a gradient."""
        return math.log(self.least) + F.softplus(self.raw_scale)


@LIKELIHOODS.register("gaussian")
class Gaussian(Scaled):
    """Normal pixels around σ(l), with one learned variance: Dai & Wipf 2019 (arXiv:1903.05789), equation 4.

    The variance is what weighs reconstruction against the KL, which for a fixed one has to be set by hand.
    """

    least = 1 / LEVELS / 12**0.5  # the standard deviation of the rounding to LEVELS

    def caution(self, binarized: bool) -> str:
        return "these are log densities of pixels in [0, 1], which may be above 0: compare with densities only"

    def nll(self, raw: Tensor, x: Tensor) -> Tensor:
        log_scale = self.log_scale()
        square = (x - self.mean(raw)).square().flatten(1)
        return 0.5 * square.sum(1) * (-2 * log_scale).exp() + square.shape[1] * (
            log_scale + 0.5 * math.log(2 * math.pi)
        )


@LIKELIHOODS.register("logistic")
class Logistic(Scaled):
    """The probability of a pixel's integer level under a logistic distribution around σ(l), with one learned scale.

    Kingma et al. 2016 (arXiv:1606.04934), section 5.2, with the tails' mass on levels 0 and LEVELS as Salimans et al.
    2017 (arXiv:1701.05517) have it. With a = (x + ½ - m) / s and b = (x - ½ - m) / s for a level x,
    σ(a) - σ(b) = σ(a) σ(-b) (1 - exp(b - a)), so that nothing cancels.
    """

    least = 0.02 / LEVELS  # at which all mass is on one level

    def caution(self, binarized: bool) -> str:
        return "these are log probabilities of the 256 levels of pixels: compare with such, and not with densities"

    def nll(self, raw: Tensor, x: Tensor) -> Tensor:
        log_scale = self.log_scale()
        per_scale = (-log_scale).exp()
        middle = (x - self.mean(raw)) * per_scale
        half = per_scale / (2 * LEVELS)
        inner = torch.log(-torch.expm1(-2 * half))
        above, below = F.logsigmoid(middle + half), F.logsigmoid(half - middle)
        edge = 0.5 / LEVELS
        darkest, lightest = x < edge, x > 1 - edge
        log_p = torch.where(darkest, above, torch.where(lightest, below, above + below + inner))
        return -log_p.flatten(1).sum(1)


def kl_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, I)) for diagonal covariance: Kingma & Welling 2013, appendix B. (B, Z) -> (B,)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
