"""Fully connected networks for images of any size: the report's FC-VAE (3 hidden layers) and FC-GAN (2)."""

from __future__ import annotations

from functools import partial
from math import prod

from torch import Tensor, nn

from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, join_label, widened


def _hidden(inputs: int, width: int, depth: int, slope: float) -> list[nn.Module]:
    """`depth` Linear layers, each with ReLU (slope 0) or LeakyReLU."""
    return [Linear(width if i else inputs, width, slope) for i in range(depth)]


class Encoder(nn.Module):
    """Flatten, hidden layers, Linear: (B, C, H, W) -> (B, out)."""

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0, *, depth: int, slope: float) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(*_hidden(prod(shape) + classes, width, depth, slope), Linear(width, out))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.layers(join_label(x.flatten(1), y, self.classes)))  # (B, CHW + K) -> (B, out)


class Decoder(nn.Module):
    """Hidden layers with ReLU, Linear, Unflatten: (B, Z) -> raw pixels (B, C, H, W)."""

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0, *, depth: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.layers = nn.Sequential(*_hidden(latent + classes, width, depth, slope=0), Linear(width, prod(shape)))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        pixels = self.layers(join_label(z, y, self.classes))  # (B, CHW)
        return widened(pixels).unflatten(1, self.shape)


NETS.add("fc-vae", Pair(partial(Encoder, depth=3, slope=0.0), partial(Decoder, depth=3)))
NETS.add("fc-gan", Pair(partial(Encoder, depth=2, slope=0.01), partial(Decoder, depth=2)))
