"""Wasserstein GANs: their settings and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from counterfeit.errors import InputError
from counterfeit.models.gan import AdversarialSettings
from counterfeit.models.spec import ModelSpec, check_not_negative, register
from counterfeit.settings import check_count, setting

if TYPE_CHECKING:
    from torch import nn

    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class WassersteinSettings(AdversarialSettings):
    """Settings of a generator and a critic, which estimates the Wasserstein distance."""

    critic_steps: int = setting(5)
    """Updates of the critic, each on a fresh batch of images, before every update of the generator."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.critic_steps, "--critic-steps")


@dataclass(frozen=True)
class WGANSettings(WassersteinSettings):
    """Settings of a critic whose weights are clipped."""

    clip: float = setting(0.01)
    """Largest absolute value of every weight of the critic; after each of its updates, larger ones are set to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clip > 0:
            raise InputError(f"--clip is {self.clip}; it must be above 0, such as 0.01")


@dataclass(frozen=True)
class WGANGPSettings(WassersteinSettings):
    """Settings of a critic whose gradient is penalized."""

    penalty: float = setting(10.0)
    """Weight of the gradient penalty, which holds the norm of the critic's gradient near 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self.penalty, "penalty", "or more, such as 10")


def networks(settings: WassersteinSettings, shape: Shape) -> tuple[nn.Module, nn.Module]:
    """The dcgan pair with halvings, whose image -> vector network has no batch norm: critic and generator."""
    from counterfeit.nets import NETS

    pair = NETS["dcgan-halving"]
    critic = pair.encoder(shape, 1, settings.encoder_width, 0)
    return critic, pair.decoder(shape, settings.latent, settings.decoder_width, 0)


def of_both(settings: WassersteinSettings) -> dict[str, Any]:
    """What the settings say of a `WassersteinGAN` beside its networks."""
    return {"latent": settings.latent, "critic_steps": settings.critic_steps, "augment": settings.changes}


def build_wgan(settings: WGANSettings, shape: Shape, classes: int) -> Model:
    """A WGAN; `classes` is 0."""
    from counterfeit.models.wgan.model import WGAN

    return WGAN(*networks(settings, shape), **of_both(settings), clip=settings.clip)


def build_wgan_gp(settings: WGANGPSettings, shape: Shape, classes: int) -> Model:
    """A WGAN-GP; `classes` is 0."""
    from counterfeit.models.wgan.model import WGANGP

    return WGANGP(*networks(settings, shape), **of_both(settings), weight=settings.penalty)


SMALL = {"critic_steps": 2, "encoder_width": 32, "decoder_width": 32}
SAME = "the networks of dcgan, with max-pooling in the critic, instead of the paper's"

register(
    ModelSpec(
        name="wgan",
        title="convolutional Wasserstein GAN with clipped weights",
        settings=WGANSettings(
            lr=5e-5, optimizer="rmsprop", betas=(0.0, 0.99), batch_size=64, latent=128, encoder_width=1024
        ),
        build=build_wgan,
        paper="Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875",
        differs=SAME,
        small=SMALL,
    )
)
register(
    ModelSpec(
        name="wgan-gp",
        title="convolutional Wasserstein GAN with gradient penalty",
        settings=WGANGPSettings(
            lr=5e-4,
            betas=(0.0, 0.9),
            schedule="cosine",
            ema=0.999,
            batch_size=64,
            latent=128,
            encoder_width=1024,
            critic_steps=2,
        ),
        build=build_wgan_gp,
        paper="Gulrajani et al. 2017, arXiv:1704.00028",
        differs=f"{SAME}; settings for ten epochs: two critic steps, a higher rate that falls to 0, averaged weights",
        small=SMALL,
    )
)
