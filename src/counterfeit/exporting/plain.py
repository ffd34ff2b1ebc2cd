"""A model of PyTorch's own layers only, with the same weights: what exporters know."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.nets.unet import Block, UpBlock


class PlainLinear(Linear):
    """`Linear` without oneDNN's operator."""

    def forward(self, x: Tensor) -> Tensor:
        out = F.linear(x, self.weight, self.bias)
        return out if self.slope is None else F.leaky_relu(out, self.slope) if self.slope else F.relu(out)


class PlainConv2d(Conv2d):
    """`Conv2d` without blocks and overlapping patches."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self, x)


class PlainConvTranspose2d(ConvTranspose2d):
    """`ConvTranspose2d` by PyTorch's operator for it."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return nn.ConvTranspose2d.forward(self, x)


class PlainUpBlock(UpBlock):
    """`UpBlock` that repeats pixels first, and then convolves."""

    def forward(self, below: Tensor, time: Tensor, beside: Tensor) -> Tensor:  # type: ignore[override]
        wide = F.interpolate(below, size=beside.shape[2:], mode="nearest")
        return Block.forward(self, torch.cat([wide, beside], dim=1), time)


PLAIN = {Linear: PlainLinear, Conv2d: PlainConv2d, ConvTranspose2d: PlainConvTranspose2d, UpBlock: PlainUpBlock}


def plain(model: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode, equal up to float32 rounding; weights that are computed are numbers.

    Its layers are those of PyTorch, by their class: parameters and their names are as they were.
    """
    other = copy.deepcopy(model).cpu().eval()
    for layer in list(other.modules()):
        if parametrize.is_parametrized(layer):
            _settle(layer)
    for layer in other.modules():
        if type(layer) in PLAIN:
            layer.__class__ = PLAIN[type(layer)]
    return other.requires_grad_(False)


def _settle(layer: nn.Module) -> None:
    """Make weights that are computed at each pass, as by spectral normalization, the numbers that they are now.

    PyTorch's own function for this changes the class of the layer, which the original shares.
    """
    assert isinstance(layer.parametrizations, nn.ModuleDict)
    now = {name: getattr(layer, name).detach().clone() for name in layer.parametrizations}
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    for name, weights in now.items():
        layer.register_parameter(name, nn.Parameter(weights))
