"""The convolutional networks of a VQ-VAE: images to a grid of vectors of a quarter of their sides, and back.

Van den Oord, Vinyals & Kavukcuoglu 2017 (arXiv:1711.00937, section 4.1), at the sizes of their published code.
"""

from __future__ import annotations

from torch import Tensor, nn

from counterfeit.nets.conv import ConvTranspose2d
from counterfeit.nets.pair import Shape, check_sides, widened

RESIDUAL_BLOCKS = 2


class Residual(nn.Module):
    """(B, C, H, W) -> the same: ReLU, 3x3 to `inner` channels, ReLU, 1x1 back, added to what came in."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, inner, 3, padding=1, bias=False),
            nn.ReLU(inplace=True), nn.Conv2d(inner, channels, 1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _residuals(channels: int) -> list[nn.Module]:
    blocks = (Residual(channels, max(1, channels // 2)) for _ in range(RESIDUAL_BLOCKS))
    return [*blocks, nn.ReLU(inplace=True)]


class Encoder(nn.Module):
    """Two 4x4 convolutions with stride 2, a 3x3 one, two residual blocks: (B, C, H, W) -> (B, out, H/4, W/4).

    Its outputs have mean 0 and variance 1, by a batch norm without weights (Łańcucki et al. 2020, arXiv:2005.08520):
    fresh layers give all positions nearly the same vector, at which codes would crowd.
    """

    def __init__(self, shape: Shape, out: int, width: int) -> None:
        super().__init__()
        check_sides("vq-vae", shape, least=8)
        half = max(1, width // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], half, 4, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(half, width, 4, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            *_residuals(width),
            nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out, affine=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return widened(self.layers(x))


class Decoder(nn.Module):
    """A 3x3 convolution, two residual blocks, two 4x4 transposed convolutions with stride 2.

    (B, inputs, H/4, W/4) -> raw pixels (B, C, H, W).
    """

    def __init__(self, shape: Shape, inputs: int, width: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1),
            *_residuals(width),
            ConvTranspose2d(width, half, 4, stride=2, padding=1), nn.ReLU(inplace=True),
            ConvTranspose2d(half, shape[0], 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return widened(self.layers(x))
