"""The convolutional pair of spectrally normalized GANs, for images that halve down to some 4x4: 8 to 256 pixels.

Miyato et al. 2018 (arXiv:1802.05957, appendix B.4), as in the authors' code. Larger images have more halvings, not
larger layers: the parameters hardly grow with the side. With labels, the encoder ends in a projection and the decoder
has conditional batch norm, see `counterfeit.nets.labels`.
"""

from __future__ import annotations

from torch import Tensor, nn

from counterfeit.nets.conv import ConvTranspose2d
from counterfeit.nets.labels import BatchNorm, Head
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import NETS, Pair, Shape, halvings, widened
from counterfeit.nets.spectral import spectral_norm

SLOPE = 0.1  # of LeakyReLU
MOST = 8  # times the width: channels of the smallest maps


def channels_of(width: int, times: int) -> list[int]:
    """Channels at every size, from the image's own to the smallest."""
    return [width * min(2**i, MOST) for i in range(times + 1)]


class Encoder(nn.Module):
    """A 3x3 convolution and a 4x4 one with stride 2 at each size, and a 3x3 one at the last; then one Linear layer.

    (B, C, H, W), labels (B,) or None -> (B, out). Every weight is divided by its largest singular value, which one step
    of power iteration a pass keeps track of.
    """

    def __init__(self, shape: Shape, out: int, width: int, classes: int = 0) -> None:
        super().__init__()
        c, h, w = shape
        times = halvings("sngan", shape)
        sizes = channels_of(width, times)
        layers: list[nn.Module] = []
        for i, (here, below) in enumerate(zip(sizes, sizes[1:], strict=False)):
            layers += [nn.Conv2d(here if i else c, here, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
            layers += [nn.Conv2d(here, below, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        layers += [nn.Conv2d(sizes[-1], sizes[-1], 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        self.features = nn.Sequential(
            *(spectral_norm(part) if isinstance(part, nn.Conv2d) else part for part in layers)
        )
        self.pooled = classes > 0
        places = 1 if self.pooled else (h >> times) * (w >> times)
        self.head = Head(sizes[-1] * places, out, classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps = self.features(x)
        return widened(self.head(maps.sum((2, 3)) if self.pooled else maps.flatten(1), y))


class Decoder(nn.Module):
    """A Linear layer, then a 4x4 transposed convolution with stride 2 to each size, and a 3x3 convolution at the last.

    Batch norm and ReLU stand between all of them. (B, Z), labels (B,) or None -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, latent: int, width: int, classes: int = 0) -> None:
        super().__init__()
        c, h, w = shape
        times = halvings("sngan", shape)
        sizes = channels_of(width, times)[::-1]
        self.smallest = (sizes[0], h >> times, w >> times)
        self.stem = Linear(latent, sizes[0] * self.smallest[1] * self.smallest[2])
        self.norms = nn.ModuleList(BatchNorm(size, classes) for size in sizes)
        self.ups = nn.ModuleList(
            ConvTranspose2d(here, above, 4, stride=2, padding=1) for here, above in zip(sizes, sizes[1:], strict=False)
        )
        self.last = nn.Conv2d(sizes[-1], c, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.norms[0](self.stem(z).view(len(z), *self.smallest), y).relu_()
        for up, norm in zip(self.ups, list(self.norms)[1:], strict=True):
            x = norm(up(x), y).relu_()
        return widened(self.last(x))


NETS.add("sngan", Pair(Encoder, Decoder))
