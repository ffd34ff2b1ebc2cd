"""A small time-conditioned U-Net for images of any size: the network of flow and diffusion models.

The architecture of Ho, Jain & Abbeel 2020 (arXiv:2006.11239, appendix B), at a size for a laptop: residual blocks with
group norm and SiLU, skip connections at every resolution, time added within each block, no attention.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.condition import Condition
from counterfeit.nets.conv import Conv2d, convolved_double
from counterfeit.nets.linear import Linear, in_float32_on_cpu
from counterfeit.nets.pair import Shape, check_patches, widened

GROUPS = 8  # groups of group norm; fewer if they do not divide the channels


class Block(nn.Module):
    """(B, C, H, W) and a condition (B, T) -> (B, C', H, W): two 3x3 convolutions with a skip connection."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inputs), nn.SiLU(), Conv2d(inputs, outputs, 3, padding=1))
        self.time = Linear(time, outputs)
        last = Conv2d(outputs, outputs, 3, padding=1)
        for weights in last.parameters():
            nn.init.zeros_(weights)  # each block starts as its skip: deep networks train from the first step
        self.second = nn.Sequential(_norm(outputs), nn.SiLU(), last)
        self.skip = Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.skip(x) + self.rest(self.first(x), time)

    def rest(self, x: Tensor, time: Tensor) -> Tensor:
        """What follows the first convolution."""
        return self.second(x + self.time(time)[:, :, None, None])


class UpBlock(Block):
    """A block of images from below, (B, C1, H, W), doubled in size, and of those beside, (B, C2, 2H, 2W).

    "Doubled" is each pixel repeated. On CPUs this is put off to the end of each operation that lets it: the activations
    of a pixel's copies are the same, and a convolution of them is `convolved_double`.
    """

    def forward(self, below: Tensor, time: Tensor, beside: Tensor) -> Tensor:  # type: ignore[override]
        size = beside.shape[2:]
        if not in_float32_on_cpu(below) or tuple(size) != (2 * below.shape[2], 2 * below.shape[3]):
            if size != below.shape[2:]:
                below = F.interpolate(below, size=size, mode="nearest")
            return super().forward(torch.cat([below, beside], dim=1), time)
        norm, activation, conv = self.first
        u, v = (activation(part) for part in _normalized(norm, below, beside))
        for_below, for_beside, bias = _shares(conv, below.shape[1])
        x = convolved_double(u, for_below, bias) + F.conv2d(v, for_beside, padding=1)
        for_below, for_beside, bias = _shares(self.skip, below.shape[1])
        doubled = F.interpolate(F.conv2d(below, for_below), scale_factor=2, mode="nearest")
        skip = F.conv2d(beside, for_beside, bias) + doubled
        return skip + self.rest(x, time)


class UNet(nn.Module):
    """Images (B, C, H, W), times (B,) in [0, 1] and labels (B,), K for none, or None -> (B, C, H, W).

    Three resolutions, each half of the previous one, rounded up; `width` channels, then twice as many. With `patch`
    above 1 it sees blocks of so many pixels as one pixel of more channels (Shi et al. 2016, arXiv:1609.05158): most of
    the time of a U-Net goes where images are largest.
    """

    def __init__(self, shape: Shape, width: int, classes: int = 0, patch: int = 1) -> None:
        super().__init__()
        check_patches("patch-unet", shape, patch)
        self.patch, colors = patch, shape[0] * patch**2
        channels, time = [width, 2 * width, 2 * width], 4 * width
        self.time = Condition(time, classes)
        self.stem = Conv2d(colors, width, 3, padding=1)
        ins = [width, *channels[:-1]]
        self.down = nn.ModuleList(Block(i, o, time) for i, o in zip(ins, channels, strict=True))
        self.halve = nn.ModuleList(Conv2d(c, c, 3, stride=2, padding=1) for c in channels[:-1])
        self.middle = Block(channels[-1], channels[-1], time)
        self.up = nn.ModuleList(
            UpBlock(below + beside, beside, time)
            for below, beside in zip([channels[-1], *channels[:0:-1]], channels[::-1], strict=True)
        )
        self.head = nn.Sequential(_norm(width), nn.SiLU(), Conv2d(width, colors, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        time = self.time(t, y)
        x, beside = self.stem(F.pixel_unshuffle(x, self.patch)), []
        for i, block in enumerate(self.down):
            x = block(self.halve[i - 1](x) if i else x, time)
            beside.append(x)
        x = self.middle(x, time)
        for block, skip in zip(self.up, reversed(beside), strict=True):
            x = block(x, time, skip)
        return F.pixel_shuffle(widened(self.head(x)), self.patch)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def _shares(conv: nn.Module, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """A convolution's weights for the first channels of what it sees, those for the others, and its bias."""
    assert isinstance(conv, Conv2d) and conv.bias is not None
    return conv.weight[:, :channels], conv.weight[:, channels:], conv.bias


def _normalized(norm: nn.Module, below: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    """Group norm of `below`, doubled, and `beside` as one tensor would have it; `below` is returned as small as it is.

    A pixel of below counts as four. A group may have channels of both.
    """
    assert isinstance(norm, nn.GroupNorm)
    parts = ((below, 4), (beside, 1))
    sums = torch.cat([n * part.sum((2, 3)) for part, n in parts], dim=1)  # (B, C1 + C2)
    squares = torch.cat([n * part.square().sum((2, 3)) for part, n in parts], dim=1)
    groups, count = norm.num_groups, sums.shape[1] // norm.num_groups * beside.shape[2] * beside.shape[3]
    mean, square = (of.unflatten(1, (groups, -1)).sum(2, keepdim=True) / count for of in (sums, squares))  # (B, G, 1)
    rate = ((square - mean.square()).clamp(min=0) + norm.eps).rsqrt()
    scale = rate * norm.weight.view(groups, -1)  # (B, G, C / G)
    shift = norm.bias.view(groups, -1) - mean * scale
    scales, shifts = (
        of.flatten(1)[:, :, None, None].split([below.shape[1], beside.shape[1]], dim=1) for of in (scale, shift)
    )
    return torch.addcmul(shifts[0], below, scales[0]), torch.addcmul(shifts[1], beside, scales[1])
