"""Spectral normalization: a layer's weight divided by its largest singular value.

Miyato et al. 2018 (arXiv:1802.05957). PyTorch's own imports PyTorch's compiler where a model is sized up without
numbers, which takes a second at every start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

FIRST = 15  # power iterations at the start, as PyTorch's own has
EPS = 1e-12


class SpectralNorm(nn.Module):
    """Weight (O, …) -> W / σ(W) of the matrix W with a row per output, σ estimated by power iteration.

    Attributes:
        u, v: what left and right singular vector of σ are taken for, (O,) and (I,). In training each pass moves them by
            one iteration, algorithm 1 of the paper; gradients flow through σ with both held.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", torch.ones_like(matrix[:, 0]))
        self.register_buffer("v", torch.ones_like(matrix[0]))
        self.start(weight)

    def start(self, weight: Tensor) -> None:
        """Find the vectors of a weight that was filled."""
        matrix = weight.detach().flatten(1)
        for _ in range(0 if weight.is_meta else FIRST):  # a model that is sized up has no numbers
            self._iterate(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # the vectors need all their digits
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix.detach())
            # Copies, since a second pass moves the vectors before the gradients of the first are computed.
            return weight / torch.dot(self.u.clone(), torch.mv(matrix, self.v.clone()))

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.v.copy_(_unit(torch.mv(matrix.T, self.u)))
        self.u.copy_(_unit(torch.mv(matrix, self.v)))


def spectral_norm(layer: nn.Module) -> nn.Module:
    """The layer, whose weight is normalized from now on."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    # Unsafe: without a pass to see that the shape stays.
    return parametrize.register_parametrization(layer, "weight", SpectralNorm(weight), unsafe=True)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm().clamp(min=EPS)
