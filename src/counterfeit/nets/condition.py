"""What a network is told beside its images: a time, and with classes a label."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import one_hot

FREQUENCIES = 32  # half of the length of a time's embedding


def embedded(t: Tensor) -> Tensor:
    """Embed times (B,) in [0, 1] -> (B, 64): sines and cosines of 32 frequencies (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(FREQUENCIES, device=t.device) * (-math.log(10_000) / FREQUENCIES))
    angles = 1000 * t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Condition(nn.Sequential):
    """Times (B,) in [0, 1] and labels (B,) or None -> (B, D), after a SiLU.

    The embedding of the label is added to that of the time. The label K stands for none, and adds nothing.
    """

    def __init__(self, length: int, classes: int = 0) -> None:
        super().__init__(Linear(2 * FREQUENCIES, length), nn.SiLU(), Linear(length, length), nn.SiLU())
        self.classes = classes
        if classes:
            self.labels = nn.Parameter(torch.empty(classes, length))
            nn.init.normal_(self.labels, std=0.02)  # as in Peebles & Xie 2023

    def forward(self, t: Tensor, y: Tensor | None = None) -> Tensor:
        *layers, last = self
        c = embedded(t)
        for layer in layers:
            c = layer(c)
        return last(c + one_hot(y, self.classes, c.dtype) @ self.labels if self.classes else c)
