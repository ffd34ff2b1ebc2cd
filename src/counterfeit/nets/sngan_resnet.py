"""The residual pair of spectrally normalized GANs, for images that halve down to some 4x4: 8 to 256 pixels.

Miyato et al. 2018 (arXiv:1802.05957, appendix B.4, the networks for 32x32): after each halving as many channels as
before. With labels as in `counterfeit.nets.sngan`.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.labels import BatchNorm, Head
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, halvings, widened
from counterfeit.nets.spectral import spectral_norm


def conv(inputs: int, outputs: int, kernel: int, *, residual: bool, normalized: bool = False) -> nn.Module:
    """A convolution that keeps the size; by Glorot's rule, times √2 within residual branches."""
    made = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(made.weight, math.sqrt(2) if residual else 1.0)
    assert made.bias is not None
    nn.init.zeros_(made.bias)
    return spectral_norm(made) if normalized else made


class Down(nn.Module):
    """(B, C, H, W) -> (B, C', H, W), or half of each side: ReLU and 3x3 convolution twice, beside a 1x1 one.

    The first block of a network, which sees an image, has no ReLU before its first convolution.
    """

    def __init__(self, inputs: int, outputs: int, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.one = conv(inputs, outputs, 3, residual=True, normalized=True)
        self.two = conv(outputs, outputs, 3, residual=True, normalized=True)
        same = inputs == outputs and not halve
        self.skip = nn.Identity() if same else conv(inputs, outputs, 1, residual=False, normalized=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.two(self.one(x if self.first else x.relu()).relu_())
        if not self.halve:
            return self.skip(x) + y
        # A mean of 2x2 and a 1x1 convolution change places for nothing: first the one that makes less of the other.
        return self.skip(F.avg_pool2d(x, 2)) + F.avg_pool2d(y, 2)


class Up(nn.Module):
    """(B, C, H, W), labels -> (B, C, 2H, 2W): batch norm, ReLU and 3x3 convolution twice, beside a 1x1 one."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(BatchNorm(channels, classes) for _ in range(2))
        self.one = conv(channels, channels, 3, residual=True)
        self.two = conv(channels, channels, 3, residual=True)
        self.skip = conv(channels, channels, 1, residual=False)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        wide = F.interpolate(self.norms[0](x, y).relu_(), scale_factor=2, mode="nearest")
        branch = self.two(self.norms[1](self.one(wide), y).relu_())
        return branch + F.interpolate(self.skip(x), scale_factor=2, mode="nearest")


class Encoder(nn.Module):
    """Blocks that halve the image but for its last halving, two that do not; a sum over places, and one Linear layer.

    (B, C, H, W), labels (B,) or None -> (B, out).
    """

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0) -> None:
        super().__init__()
        times = halvings("sngan-resnet", shape)
        blocks = [Down(shape[0], width, halve=True, first=True)]
        blocks += [Down(width, width, halve=True) for _ in range(times - 2)]
        blocks += [Down(width, width, halve=False) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(width, out, classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.head(self.blocks(x).relu_().sum((2, 3)), y))


class Decoder(nn.Module):
    """A Linear layer, a block to each size, then batch norm, ReLU and a 3x3 convolution.

    (B, Z), labels (B,) or None -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0) -> None:
        super().__init__()
        c, h, w = shape
        times = halvings("sngan-resnet", shape)
        self.smallest = (width, h >> times, w >> times)
        self.stem = Linear(latent, math.prod(self.smallest))
        self.blocks = nn.ModuleList(Up(width, classes) for _ in range(times))
        self.norm = BatchNorm(width)
        self.last = conv(width, c, 3, residual=False)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.stem(z).view(len(z), *self.smallest)
        for block in self.blocks:
            x = block(x, y)
        return widened(self.last(self.norm(x).relu_()))


NETS.add("sngan-resnet", Pair(Encoder, Decoder))
