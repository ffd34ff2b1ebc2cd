"""The VAE/GAN: its settings and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterfeit.errors import InputError
from counterfeit.models.ae import LatentSampling
from counterfeit.models.gan import AdversarialSettings
from counterfeit.models.spec import ModelSpec, register
from counterfeit.settings import setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class VAEGANSettings(AdversarialSettings):
    """Settings of a VAE/GAN."""

    lr: float = setting(3e-4)
    betas: tuple[float, float] = setting((0.5, 0.999))
    """Decay rates of the moving averages of the gradients and of their squares."""
    batch_size: int = setting(64)
    latent: int = setting(128)
    encoder_width: int = setting(1024)
    """Units of the fully connected layer of the encoder, and of the discriminator's."""
    feature_weight: float = setting(0.01)
    """Weight of the distance between features in the decoder's loss, against 1 minus this of the adversarial loss: more
    of it keeps closer to the image that was encoded, less of it looks more real."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.feature_weight <= 1:
            raise InputError(f"--feature-weight is {self.feature_weight}; it must be from 0 to 1, such as 0.01")


def build(settings: VAEGANSettings, shape: Shape, classes: int) -> Model:
    """The VAE of InfoGAN's networks and dcgan's discriminator, which has no batch norm; `classes` is 0."""
    from counterfeit.models.vae_gan.model import VAEGAN
    from counterfeit.nets import NETS

    encoder = NETS["infogan"].encoder(shape, 2 * settings.latent, settings.encoder_width, 0)
    generator = NETS["infogan"].decoder(shape, settings.latent, settings.decoder_width, 0)
    discriminator = NETS["dcgan-halving"].encoder(shape, 1, settings.encoder_width, 0)
    return VAEGAN(encoder, generator, discriminator, settings.latent, settings.feature_weight, settings.changes)


register(
    ModelSpec(
        name="vae-gan",
        title="VAE whose reconstructions are judged by the features of a GAN's discriminator",
        settings=VAEGANSettings(epochs=5),
        build=build,
        paper="Larsen et al. 2016, arXiv:1512.09300",
        differs="networks of conv-vae and dcgan, Adam; non-saturating loss; no network is held still when it is ahead",
        sampling=LatentSampling(),
        small={"encoder_width": 16, "decoder_width": 16, "latent": 8},
    )
)
