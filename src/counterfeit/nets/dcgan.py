"""The convolutional pair of the report's DCGAN, for images whose sides are multiples of 4 and at least 16.

It follows the course assignment on which the report is based, which differs from Radford et al. 2016
(arXiv:1511.06434): 5x5 convolutions with max-pooling and no batch norm in the discriminator, two fully connected layers
in the generator. These layers grow with the image: the pair `dcgan-halving` halves images above 32 pixels further.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, check_sides, join_label, smallest_maps, widened


def _initialize(net: nn.Module) -> None:
    """Xavier-uniform weights for Linear and ConvTranspose2d, as in the assignment; Conv2d keeps PyTorch's default."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)


class Encoder(nn.Module):
    """Two 5x5 convolutions with max-pooling, then two Linear layers: (B, C, H, W) -> (B, out).

    With `halving` there are more convolutions for images above 32 pixels. LeakyReLU commutes with the maximum, so it
    comes after the pooling, where it has a quarter of the work.
    """

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0, *, halving: bool = False) -> None:
        super().__init__()
        check_sides("dcgan", shape, least=16)
        c, h, w = shape
        times = smallest_maps(shape)[0] if halving else 0
        self.classes = classes
        layers: list[nn.Module] = []
        for before, after, padding in ((c, 32, 0), (32, 64, 0), *[(64, 64, 2)] * times):
            layers += [Conv2d(before, after, 5, padding=padding), nn.MaxPool2d(2), nn.LeakyReLU(0.01, inplace=True)]
        self.features = nn.Sequential(*layers)
        h, w = (((side - 4) // 2 - 4) // 2 >> times for side in (h, w))
        flat = 64 * h * w  # 28x28 -> 64x4x4 = 1024
        self.head = nn.Sequential(Linear(flat + classes, width, slope=0.01), Linear(width, out))
        _initialize(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.head(join_label(self.features(x).flatten(1), y, self.classes)))


class Decoder(nn.Module):
    """Two Linear layers with batch norm, then two stride-2 transposed convolutions, or more with `halving`.

    (B, Z) -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0, *, halving: bool = False) -> None:
        super().__init__()
        check_sides("dcgan", shape, least=16)
        c, (times, h, w) = shape[0], smallest_maps(shape) if halving else (0, shape[1] // 4, shape[2] // 4)
        self.classes = classes
        flat = 128 * h * w  # 28x28 -> 128x7x7 = 6272
        self.stem = nn.Sequential(
            Linear(latent + classes, width, slope=0), nn.BatchNorm1d(width),
            Linear(width, flat, slope=0), nn.BatchNorm1d(flat),
            nn.Unflatten(1, (128, h, w)),
        )  # fmt: skip
        layers: list[nn.Module] = []
        for channels in (*[128] * times, 64):
            layers += [ConvTranspose2d(128, channels, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.BatchNorm2d(channels)]
        self.upsample = nn.Sequential(*layers, ConvTranspose2d(64, c, 4, stride=2, padding=1))
        _initialize(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return widened(self.upsample(self.stem(join_label(z, y, self.classes))))


NETS.add("dcgan", Pair(Encoder, Decoder))
NETS.add("dcgan-halving", Pair(partial(Encoder, halving=True), partial(Decoder, halving=True)))
