"""The convolutional pair of InfoGAN, for images whose sides are multiples of 4 and at least 8.

From Chen et al. 2016 (arXiv:1606.03657, appendix C).
Lucic et al. 2018 (arXiv:1711.10337) compared GANs with it, and Dai & Wipf 2019 (arXiv:1903.05789) VAEs.
"""

from __future__ import annotations

from torch import Tensor, nn

from counterfeit.nets.conv import ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, check_sides, join_label, widened

SLOPE = 0.1  # of LeakyReLU


class Encoder(nn.Module):
    """Two 4x4 convolutions with stride 2, then two Linear layers; batch norm but for the first and the last.

    (B, C, H, W) -> (B, out).
    """

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sides("infogan", shape, least=8)
        c, h, w = shape
        self.classes = classes
        self.features = nn.Sequential(
            nn.Conv2d(c, 64, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(64, 128, 4, stride=2, padding=1), nn.BatchNorm2d(128), nn.LeakyReLU(SLOPE, inplace=True),
        )  # fmt: skip
        self.head = nn.Sequential(
            Linear(128 * (h // 4) * (w // 4) + classes, width), nn.BatchNorm1d(width),
            nn.LeakyReLU(SLOPE, inplace=True), Linear(width, out),
        )  # fmt: skip

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.head(join_label(self.features(x).flatten(1), y, self.classes)))


class Decoder(nn.Module):
    """Two Linear layers, then two 4x4 transposed convolutions with stride 2; batch norm and ReLU between them.

    (B, Z) -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sides("infogan", shape, least=8)
        c, h, w = shape
        self.classes = classes
        flat = 128 * (h // 4) * (w // 4)
        self.stem = nn.Sequential(
            Linear(latent + classes, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True),
            Linear(width, flat), nn.BatchNorm1d(flat), nn.ReLU(inplace=True),
            nn.Unflatten(1, (128, h // 4, w // 4)),
        )  # fmt: skip
        self.upsample = nn.Sequential(
            ConvTranspose2d(128, 64, 4, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
            ConvTranspose2d(64, c, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.upsample(self.stem(join_label(z, y, self.classes))))


NETS.add("infogan", Pair(Encoder, Decoder))
