"""A small time-conditioned U-Net for images of any size: the network of flow and diffusion models.

The architecture of Ho, Jain & Abbeel 2020 (arXiv:2006.11239, appendix B), at a size for a laptop: residual blocks with
group norm and SiLU, skip connections at every resolution, time added within each block, no attention.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.pair import Shape, widened

GROUPS = 8  # groups of group norm; fewer if they do not divide the channels
FREQUENCIES = 32  # half of the length of a time's embedding


def embedded(t: Tensor) -> Tensor:
    """Embed times (B,) in [0, 1] -> (B, 64): sines and cosines of 32 frequencies (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(FREQUENCIES, device=t.device) * (-math.log(10_000) / FREQUENCIES))
    angles = 1000 * t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    """(B, C, H, W) and time (B, T) -> (B, C', H, W): two 3x3 convolutions with a skip connection."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Linear(time, outputs)
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        for weights in last.parameters():
            nn.init.zeros_(weights)  # each block starts as its skip: deep networks train from the first step
        self.second = nn.Sequential(_norm(outputs), nn.SiLU(), last)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.skip(x) + self.second(self.first(x) + self.time(time)[:, :, None, None])


class UNet(nn.Module):
    """Images (B, C, H, W) and times (B,) in [0, 1] -> (B, C, H, W).

    Three resolutions, each half of the previous one, rounded up; `width` channels, then twice as many.
    """

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        channels, time = [width, 2 * width, 2 * width], 4 * width
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.stem = nn.Conv2d(shape[0], width, 3, padding=1)
        ins = [width, *channels[:-1]]
        self.down = nn.ModuleList(Block(i, o, time) for i, o in zip(ins, channels, strict=True))
        self.halve = nn.ModuleList(nn.Conv2d(c, c, 3, stride=2, padding=1) for c in channels[:-1])
        self.middle = Block(channels[-1], channels[-1], time)
        self.up = nn.ModuleList(
            Block(below + beside, beside, time)
            for below, beside in zip([channels[-1], *channels[:0:-1]], channels[::-1], strict=True)
        )
        self.head = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, shape[0], 3, padding=1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.time(embedded(t))
        x, beside = self.stem(x), []
        for i, block in enumerate(self.down):
            x = block(self.halve[i - 1](x) if i else x, time)
            beside.append(x)
        x = self.middle(x, time)
        for block, skip in zip(self.up, reversed(beside), strict=True):
            if x.shape[2:] != skip.shape[2:]:
                x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1), time)
        return widened(self.head(x))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)
