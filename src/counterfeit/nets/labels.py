"""How convolutional networks are told a label: by batch norm in a generator, by a projection in a discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfeit.nets.linear import Linear
from counterfeit.nets.spectral import spectral_norm


def known(y: Tensor | None) -> Tensor:
    assert y is not None, "a conditional net needs labels"
    return y


class BatchNorm(nn.Module):
    """Batch norm of images (B, C, H, W), whose gain and bias are those of the label where there are classes.

    Dumoulin et al. 2017 (arXiv:1610.07629), de Vries et al. 2017 (arXiv:1707.00683).
    """

    def __init__(self, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        if classes:
            self.gain, self.bias = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)
        self.classes = classes

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.norm(x)
        if not self.classes:
            return x
        gain, bias = self.gain(known(y)), self.bias(known(y))  # (B, C)
        return torch.addcmul(bias[:, :, None, None], x, gain[:, :, None, None])


class Head(nn.Module):
    """Features φ (B, F), labels (B,) or None -> ψ(φ), a Linear layer (B, out), plus the inner product of φ with a
    vector of the label where there are classes: the projection of Miyato & Koyama 2018 (arXiv:1802.05637), eq. 5.
    Both have spectral normalization.
    """

    def __init__(self, features: int, out: int, classes: int) -> None:
        super().__init__()
        self.linear, self.classes = spectral_norm(Linear(features, out)), classes
        if classes:
            vectors = nn.Embedding(classes, features)
            nn.init.xavier_uniform_(vectors.weight)
            self.of_label = spectral_norm(vectors)

    def forward(self, features: Tensor, y: Tensor | None) -> Tensor:
        out: Tensor = self.linear(features)
        if self.classes:
            out = out + (self.of_label(known(y)) * features).sum(1, keepdim=True)
        return out
