"""The variational autoencoders: their settings and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterfeit.models.ae import AutoencoderSettings
from counterfeit.models.spec import ModelSpec, check_not_negative, register, tuned
from counterfeit.settings import setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class VAESettings(AutoencoderSettings):
    """Settings of a variational autoencoder. The defaults are the report's."""

    kl_weight: float = setting(1.0)
    """Weight of the KL term in the loss. Below 1, images are sharper, but codes match the prior less well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self.kl_weight, "kl_weight", "or more, and 1 is the VAE's own bound")


def build(settings: VAESettings, shape: Shape, classes: int) -> Model:
    """A VAE of the report's networks; with `classes` above 0 a conditional one."""
    from counterfeit.models.losses import LIKELIHOODS
    from counterfeit.models.vae.model import VAE
    from counterfeit.nets import NETS

    pair, likelihood = NETS["fc-vae"], LIKELIHOODS[settings.loss]
    encoder = pair.encoder(shape, 2 * settings.latent, settings.encoder_width, classes)
    decoder = pair.decoder(likelihood.outputs(shape), settings.latent, settings.decoder_width, classes)
    return VAE(encoder, decoder, likelihood, settings.latent, classes, settings.kl_weight)


VAE_SPEC = register(
    ModelSpec(
        name="vae",
        title="fully connected variational autoencoder (the report's FCVAE)",
        settings=VAESettings(),
        build=build,
        paper="Kingma & Welling 2013, arXiv:1312.6114",
        differs="three hidden layers of 400 with ReLU and Adam, where the paper has one of 500 with tanh and Adagrad",
        published=True,
    )
)
register(
    ModelSpec(
        name="cvae",
        title="conditional variational autoencoder: the label joins the image and z",
        settings=VAESettings(),
        build=build,
        conditional=True,
        paper="Sohn, Lee & Yan 2015, NeurIPS",
        differs="the prior of z does not depend on the label",
        published=True,
    )
)
tuned(VAE_SPEC, kl_weight=0.5, batch_size=64)
