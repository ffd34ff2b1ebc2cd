"""GANs of convolutional networks whose discriminator is held in check: their settings and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.models.gan import GANSettings, build, of_game
from counterfeit.models.spec import ModelSpec, check_not_negative, register
from counterfeit.settings import setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape

NETS = {"cnn": "sngan", "resnet": "sngan-resnet"}  # choices of `net` -> names in counterfeit.nets.NETS


@dataclass(frozen=True)
class SNGANSettings(GANSettings):
    """Settings of a GAN whose discriminator has spectral normalization."""

    lr: float = setting(1e-3)
    """Learning rate of all networks."""
    betas: tuple[float, float] = setting((0.0, 0.9))
    """Decay rates of the moving averages of the gradients and of their squares."""
    schedule: Literal["constant", "linear", "cosine"] = setting("linear")
    ema: float = setting(0.999)
    loss: Literal["bce", "minimax", "least-squares", "hinge", "relativistic"] = setting("hinge")
    latent: int = setting(128)
    net: Literal["cnn", "resnet"] = setting("cnn")
    """Networks: plain convolutions, or residual blocks."""
    encoder_width: int = setting(16)
    """Channels of the discriminator at the size of the image; `cnn` has twice as many after each halving, up to eight
    times. The paper has 64 (`cnn`) and 128 (`resnet`)."""
    decoder_width: int = setting(16)
    """Channels of the generator at the size of the image, likewise. The paper has 64 (`cnn`) and 256 (`resnet`)."""


@dataclass(frozen=True)
class ACGANSettings(SNGANSettings):
    """Settings of a GAN whose discriminator also names the class."""

    real_weight: float = setting(1.0)
    """Weight, in the discriminator's loss, of the cross-entropy of the classes of real images."""
    fake_weight: float = setting(0.5)
    """Weight, in the generator's loss, of the cross-entropy of the classes of its images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self.real_weight, "real_weight", "or more, such as 1")
        check_not_negative(self.fake_weight, "fake_weight", "or more, such as 0.5")


def build_sngan(settings: SNGANSettings, shape: Shape, classes: int) -> Model:
    """A spectrally normalized GAN; with `classes` above 0 its discriminator ends in a projection."""
    return build(settings, shape, classes, net=NETS[settings.net], normal=True)


def build_acgan(settings: ACGANSettings, shape: Shape, classes: int) -> Model:
    """A generator that is told the class, and a discriminator that names it."""
    from counterfeit.models.sngan.model import ACGAN
    from counterfeit.nets import NETS as PAIRS

    pair = PAIRS[NETS[settings.net]]
    discriminator = pair.encoder(shape, 1 + classes, settings.encoder_width, 0)
    generator = pair.decoder(shape, settings.latent, settings.decoder_width, classes)
    weights = {"real_weight": settings.real_weight, "fake_weight": settings.fake_weight}
    return ACGAN(discriminator, generator, classes=classes, normal=True, **of_game(settings), **weights)


SMALL = {"encoder_width": 4, "decoder_width": 5}
PAPER = "Miyato et al. 2018, arXiv:1802.05957"

register(
    ModelSpec(
        name="sngan",
        title="convolutional GAN with spectral normalization, hinge loss",
        settings=SNGANSettings(),
        build=build_sngan,
        paper=PAPER,
        differs="a quarter as wide, weights averaged; G's update reuses the noise of D's update",
        small=SMALL,
    )
)
register(
    ModelSpec(
        name="csngan",
        title="sngan with labels: projection discriminator, conditional batch norm",
        settings=SNGANSettings(),
        build=build_sngan,
        conditional=True,
        paper="Miyato & Koyama 2018, arXiv:1802.05637",
        differs="a quarter as wide, weights averaged; G's update reuses the noise of D's update",
        small=SMALL,
    )
)
register(
    ModelSpec(
        name="acgan",
        title="sngan with labels: a discriminator that also names the class",
        settings=ACGANSettings(),
        build=build_acgan,
        conditional=True,
        paper="Odena, Olah & Shlens 2017, arXiv:1610.09585",
        differs="hinge loss, spectral normalization; D learns the classes of real images only",
        small=SMALL,
    )
)
