"""Terms of the negative ELBO, in nats a sample, unreduced: (B, …) -> (B,)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from counterfeit.registry import Registry

# name -> function of raw pixels (B, C, H, W) and images in [0, 1] of the same shape, giving -log p(x|z) as (B,)
LIKELIHOODS: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("likelihood")


@LIKELIHOODS.register("bernoulli")
def bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """-Σ x log σ(l) + (1-x) log(1-σ(l)) over pixels: Kingma & Welling 2013 (arXiv:1312.6114), appendix C.1.

    On grey pixels this is no normalised likelihood (Loaiza-Ganem & Cunningham 2019): its nats compare runs on the same
    data, and nothing else.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def kl_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, I)) for diagonal covariance: Kingma & Welling 2013, appendix B. (B, Z) -> (B,)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
