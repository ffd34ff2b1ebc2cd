"""The variational autoencoders: their settings and names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from counterfeit.models.ae import AutoencoderSettings, LatentSampling
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


@dataclass(frozen=True)
class ConvVAESettings(VAESettings):
    """Settings of a convolutional VAE."""

    batch_size: int = setting(64)
    latent: int = setting(64)
    encoder_width: int = setting(1024)
    """Units of the encoder's fully connected layer."""
    decoder_width: int = setting(1024)
    """Units of the decoder's first fully connected layer."""


@dataclass(frozen=True)
class BetaVAESettings(ConvVAESettings):
    """Settings of a beta-VAE."""

    latent: int = setting(10)
    kl_weight: float = setting(4.0)
    """Weight of the KL term in the loss, or with --capacity of its distance from that."""
    capacity: float = setting(0.0)
    """If above 0, --kl-weight weighs how far the KL is from this number of nats, which rises from 0 in the first half
    of the training: 25 is a usual value, with a weight of 100 or more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self.capacity, "capacity", "(off) or more, such as 25")


def build(settings: VAESettings, shape: Shape, classes: int, *, net: str) -> Model:
    """A VAE of a pair of networks, see `counterfeit.nets.NETS`; with `classes` above 0 a conditional one."""
    from counterfeit.models.losses import LIKELIHOODS
    from counterfeit.models.vae.model import VAE
    from counterfeit.nets import NETS

    pair, likelihood = NETS[net], LIKELIHOODS[settings.loss]()
    encoder = pair.encoder(shape, 2 * settings.latent, settings.encoder_width, classes)
    decoder = pair.decoder(likelihood.outputs(shape), settings.latent, settings.decoder_width, classes)
    capacity = settings.capacity if isinstance(settings, BetaVAESettings) else 0.0
    return VAE(encoder, decoder, likelihood, settings.latent, classes, settings.kl_weight, capacity)


VAE_SPEC = register(
    ModelSpec(
        name="vae",
        title="fully connected variational autoencoder (the report's FCVAE)",
        settings=VAESettings(),
        sampling=LatentSampling(),
        build=partial(build, net="fc-vae"),
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
        sampling=LatentSampling(),
        build=partial(build, net="fc-vae"),
        conditional=True,
        paper="Sohn, Lee & Yan 2015, NeurIPS",
        differs="the prior of z does not depend on the label",
        published=True,
    )
)
SMALL = {"encoder_width": 16, "decoder_width": 16}
register(
    ModelSpec(
        name="conv-vae",
        title="convolutional variational autoencoder",
        settings=ConvVAESettings(),
        sampling=LatentSampling(),
        build=partial(build, net="infogan"),
        paper="Kingma & Welling 2013, arXiv:1312.6114; networks: Chen et al. 2016, arXiv:1606.03657",
        differs="networks of InfoGAN, as in Lucic et al. 2018 (arXiv:1711.10337)",
        small=SMALL,
    )
)
register(
    ModelSpec(
        name="beta-vae",
        title="conv-vae with a heavier KL, or with a capacity that it is held at: fewer, more separate latents",
        settings=BetaVAESettings(),
        sampling=LatentSampling(),
        build=partial(build, net="infogan"),
        paper="Higgins et al. 2017, ICLR; capacity: Burgess et al. 2018, arXiv:1804.03599",
        differs="networks of InfoGAN; the capacity rises in half of the training, whatever its length",
        small=SMALL,
    )
)
tuned(VAE_SPEC, kl_weight=0.5, batch_size=64)
