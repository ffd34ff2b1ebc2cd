"""The convolutional pair of InfoGAN, for images whose sides are multiples of 4 and at least 8.

From Chen et al. 2016 (arXiv:1606.03657, appendix C); images above 32 pixels have more halvings, not larger layers.
Lucic et al. 2018 (arXiv:1711.10337) compared GANs with it, and Dai & Wipf 2019 (arXiv:1903.05789) VAEs.
"""

from __future__ import annotations

from torch import Tensor, nn

from counterfeit.nets.conv import ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, check_sides, join_label, smallest_maps, widened

SLOPE = 0.1  # of LeakyReLU


class Encoder(nn.Module):
    """4x4 convolutions with stride 2, two or more, then two Linear layers; batch norm but for the first and the last.

    (B, C, H, W) -> (B, out).
    """

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sides("infogan", shape, least=8)
        c, (times, h, w) = shape[0], smallest_maps(shape)
        self.classes = classes
        layers: list[nn.Module] = [nn.Conv2d(c, 64, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        for channels in (64, *[128] * times):
            layers += [nn.Conv2d(channels, 128, 4, stride=2, padding=1), nn.BatchNorm2d(128)]
            layers += [nn.LeakyReLU(SLOPE, inplace=True)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            Linear(128 * h * w + classes, width), nn.BatchNorm1d(width),
            nn.LeakyReLU(SLOPE, inplace=True), Linear(width, out),
        )  # fmt: skip

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.head(join_label(self.features(x).flatten(1), y, self.classes)))


class Decoder(nn.Module):
    """Two Linear layers, then two or more 4x4 transposed convolutions with stride 2; batch norm and ReLU between them.

    (B, Z) -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0) -> None:
        super().__init__()
        check_sides("infogan", shape, least=8)
        c, (times, h, w) = shape[0], smallest_maps(shape)
        self.classes = classes
        flat = 128 * h * w
        self.stem = nn.Sequential(
            Linear(latent + classes, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True),
            Linear(width, flat), nn.BatchNorm1d(flat), nn.ReLU(inplace=True),
            nn.Unflatten(1, (128, h, w)),
        )  # fmt: skip
        layers: list[nn.Module] = []
        for channels in (*[128] * times, 64):
            layers += [ConvTranspose2d(128, channels, 4, stride=2, padding=1), nn.BatchNorm2d(channels)]
            layers += [nn.ReLU(inplace=True)]
        self.upsample = nn.Sequential(*layers, ConvTranspose2d(64, c, 4, stride=2, padding=1))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.upsample(self.stem(join_label(z, y, self.classes))))


NETS.add("infogan", Pair(Encoder, Decoder))
