"""The small classifiers that ship with the package: every score works without a network connection or a download.

There is one architecture, with sizes given by the card: a stem, then stages of a convolution, a max-pool and a residual
convolution. The features are the spatial means of the outputs of the stem and of every stage, each scaled to mean 0 and
variance 1 over the training images. The last stage alone would be enough for a classifier, but not for a score: there,
a classifier collapses the images of a class into one point (neural collapse, Papyan et al. 2020, arXiv:2008.08186) and
so loses what distinguishes a good digit from a blurred one. The early stages still see strokes, edges and noise.
Measured on MNIST, relative to the distance between two real sets: noise and blur raise the Fréchet distance two to
three times as much with all stages as with the last one, a missing class raises it 7-fold instead of 10-fold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit import catalog
from counterfeit.detectors.detector import Detector
from counterfeit.detectors.entry import DETECTORS, Entry, Options, compiled
from counterfeit.errors import InputError
from counterfeit.nets.initial import Seeded
from counterfeit.system import reading

FOLDER = Path(__file__).parent / "weights"
# The luma of ITU-R BT.601, which Pillow also uses to convert color to grayscale.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Architecture:
    """The configurable sizes of a small CNN, stored in its card."""

    channels: int
    """Channels of the input images: 1 (grayscale) or 3 (RGB)."""
    side: int
    """Height and width of the input images, pixels."""
    stem: tuple[int, int, int]
    """The first convolution: channels, kernel size, stride."""
    widths: tuple[int, ...]
    """Channels of each stage."""
    classes: int
    mean: float
    """Mean of the training images' pixels, in [0, 1]; `std` is their standard deviation."""
    std: float

    @property
    def dim(self) -> int:
        """Number of features."""
        return self.stem[0] + sum(self.widths)

    @property
    def protocol(self) -> str:
        """How images reach the network, for the receipt."""
        return f"{'gray' if self.channels == 1 else 'RGB'} {self.side}x{self.side}, bilinear with antialias"


class ConvNorm(nn.Module):
    """Convolution, max-pool over `pool` x `pool` places, batch norm, ReLU."""

    def __init__(self, c: int, out: int, kernel: int = 3, stride: int = 1, pool: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, out, kernel, stride, padding=(kernel - stride + 1) // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.pool > 1:
            x = F.max_pool2d(x, self.pool)
        return F.relu(self.bn(x), inplace=True)


class Stage(nn.Module):
    """(B, c, H, W) -> (B, out, H/2, W/2)."""

    def __init__(self, c: int, out: int) -> None:
        super().__init__()
        self.down = ConvNorm(c, out, pool=2)
        self.residual = ConvNorm(out, out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        return x + self.residual(x)


class SmallCNN(nn.Module):
    """Images from `fitted`, (B, channels, side, side) -> features (B, D) and logits (B, K)."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.of = of
        channels, kernel, stride = of.stem
        self.stem = ConvNorm(of.channels, channels, kernel, stride)
        inputs = (channels, *of.widths[:-1])
        self.stages = nn.ModuleList(Stage(c, out) for c, out in zip(inputs, of.widths, strict=True))
        self.scale = nn.BatchNorm1d(of.dim, affine=False)
        self.head = nn.Linear(of.dim, of.classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = (x / 255 - self.of.mean) / self.of.std
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        means = [x.mean((2, 3))]
        for stage in self.stages:
            x = stage(x)
            means.append(x.mean((2, 3)))
        features = self.scale(torch.cat(means, 1))
        return features, self.head(features)

    def fitted(self, images: Tensor) -> Tensor:
        """Convert uint8 (B, 1 or 3, H, W) of any size to float (B, channels, side, side), values 0 to 255.

        Nothing is rounded to bytes on the way.
        """
        x = images.float()
        if self.of.channels == 1 and x.shape[1] == 3:
            x = (x * torch.tensor(LUMA, device=x.device)[:, None, None]).sum(1, keepdim=True)
        elif self.of.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        side = (self.of.side, self.of.side)
        return x if x.shape[2:] == side else F.interpolate(x, side, mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Card:
    """The facts about a shipped network, from weights/NAME.json."""

    name: str
    data: str
    """Data set on whose training split the network was trained."""
    architecture: Architecture
    recipe: dict[str, Any]
    """Settings of its training; see `counterfeit.detectors.training`."""
    test_accuracy: float
    """Share of the test images that the shipped file classifies correctly, without test-time augmentation."""
    sha256: str
    """SHA-256 (hex) of weights/NAME.safetensors."""
    made_by: dict[str, Any]
    """Command, versions, machine and seconds of the training."""


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """Read the card of a shipped network. Raises InputError if the installation is damaged."""
    path = folder / f"{name}.json"
    try:
        return reading.record(reading.content(path), Card)
    except (OSError, reading.Malformed) as error:
        raise InputError(f"{path} cannot be read ({reading.reason(error)}); reinstall counterfeit") from None


def load_small_cnn(name: str, folder: Path = FOLDER) -> tuple[SmallCNN, Card]:
    """Load a shipped network, ready for inference, and its card. Raises InputError if the installation is damaged."""
    card = read_card(name, folder)
    path = folder / f"{name}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); reinstall counterfeit") from None
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise InputError(f"{path} is damaged: its SHA-256 is not the one in its card; reinstall counterfeit")
    # These initial values are replaced at once: do not draw them from the user's generator.
    with Seeded(0):
        network = SmallCNN(card.architecture)
    network.load_state_dict(safetensors.torch.load(content))
    return network.eval().requires_grad_(False), card


def make(name: str, options: Options) -> Detector:
    """Make a shipped detector."""
    options.refuse(name, "weights", "any_weights", "protocol")
    network, card = load_small_cnn(name)
    network.to(options.device)
    block, of = 256, card.architecture
    shape = (block, of.channels, of.side, of.side)
    run = compiled(network, torch.zeros(shape, device=options.device)) if options.compile else network

    def detect(images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = run(network.fitted(images))
        return features, logits.softmax(1)

    return Detector(name, of.protocol, of.dim, card.sha256, options.device, block, detect)


for name in ("mnist-cnn", "fashion-cnn", "cifar10-cnn"):
    DETECTORS.add(name, Entry(**vars(catalog.DETECTORS[name]), make=partial(make, name)))
