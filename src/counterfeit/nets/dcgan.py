"""The convolutional pair of the report's DCGAN, for images whose sides are multiples of 4 and at least 16.

It follows the course assignment on which the report is based, which differs from Radford et al. 2016
(arXiv:1511.06434): 5x5 convolutions with max-pooling and no batch norm in the discriminator, two fully connected layers
in the generator.
"""

from __future__ import annotations

from torch import Tensor, nn

from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, check_sides, join_label, widened


def _initialize(net: nn.Module) -> None:
    """Xavier-uniform weights for Linear and ConvTranspose2d, as in the assignment; Conv2d keeps PyTorch's default."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)


class Encoder(nn.Module):
    """Two 5x5 convolutions with max-pooling, then two Linear layers: (B, C, H, W) -> (B, out).

    LeakyReLU commutes with the maximum, so it comes after the pooling, where it has a quarter of the work.
    """

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sides("dcgan", shape, least=16)
        c, h, w = shape
        self.classes = classes
        self.features = nn.Sequential(
            Conv2d(c, 32, 5), nn.MaxPool2d(2), nn.LeakyReLU(0.01, inplace=True),
            Conv2d(32, 64, 5), nn.MaxPool2d(2), nn.LeakyReLU(0.01, inplace=True),
        )  # fmt: skip
        flat = 64 * (((h - 4) // 2 - 4) // 2) * (((w - 4) // 2 - 4) // 2)  # 28x28 -> 64x4x4 = 1024
        self.head = nn.Sequential(Linear(flat + classes, width, slope=0.01), Linear(width, out))
        _initialize(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.head(join_label(self.features(x).flatten(1), y, self.classes)))


class Decoder(nn.Module):
    """Two Linear layers with batch norm, then two stride-2 transposed convolutions.

    (B, Z) -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sides("dcgan", shape, least=16)
        c, h, w = shape
        self.classes = classes
        flat = 128 * (h // 4) * (w // 4)  # 28x28 -> 128x7x7 = 6272
        self.stem = nn.Sequential(
            Linear(latent + classes, width, slope=0), nn.BatchNorm1d(width),
            Linear(width, flat, slope=0), nn.BatchNorm1d(flat),
            nn.Unflatten(1, (128, h // 4, w // 4)),
        )  # fmt: skip
        self.upsample = nn.Sequential(
            ConvTranspose2d(128, 64, 4, stride=2, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(64),
            ConvTranspose2d(64, c, 4, stride=2, padding=1),
        )  # fmt: skip
        _initialize(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.upsample(self.stem(join_label(z, y, self.classes))))


NETS.add("dcgan", Pair(Encoder, Decoder))
