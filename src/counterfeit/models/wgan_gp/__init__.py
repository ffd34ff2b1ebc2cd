"""The Wasserstein GAN with gradient penalty: its settings and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterfeit.models.gan import AdversarialSettings
from counterfeit.models.spec import ModelSpec, check_not_negative, register
from counterfeit.settings import check_count, setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class WGANGPSettings(AdversarialSettings):
    """Settings of a generator and a critic whose gradient is penalized."""

    critic_steps: int = setting(5)
    """Updates of the critic, each on a fresh batch of images, before every update of the generator."""
    penalty: float = setting(10.0)
    """Weight of the gradient penalty, which holds the norm of the critic's gradient near 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.critic_steps, "--critic-steps")
        check_not_negative(self.penalty, "penalty", "or more, such as 10")


def build(settings: WGANGPSettings, shape: Shape, classes: int) -> Model:
    """A WGAN-GP of the dcgan pair, whose image -> vector network has no batch norm; `classes` is 0."""
    from counterfeit.models.wgan_gp.model import WGANGP
    from counterfeit.nets import NETS

    pair = NETS["dcgan"]
    critic = pair.encoder(shape, 1, settings.encoder_width, 0)
    generator = pair.decoder(shape, settings.latent, settings.decoder_width, 0)
    return WGANGP(critic, generator, settings.latent, settings.critic_steps, settings.penalty)


register(
    ModelSpec(
        name="wgan-gp",
        title="convolutional Wasserstein GAN with gradient penalty",
        settings=WGANGPSettings(lr=1e-4, betas=(0.0, 0.9), batch_size=64, latent=128, encoder_width=1024),
        build=build,
        paper="Gulrajani et al. 2017, arXiv:1704.00028",
        differs="the networks of dcgan, with max-pooling in the critic, instead of the paper's",
        small={"critic_steps": 2, "encoder_width": 32, "decoder_width": 32},
    )
)
