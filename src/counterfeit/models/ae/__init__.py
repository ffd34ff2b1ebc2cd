"""The autoencoder: its settings and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.models.spec import ModelSettings, ModelSpec, register
from counterfeit.settings import check_count, option, setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class AutoencoderSettings(ModelSettings):
    """Settings of an autoencoder. The defaults are the report's."""

    loss: Literal["bernoulli"] = setting("bernoulli")
    """Likelihood of a pixel given z."""
    binarize: Literal["none", "static", "dynamic"] = setting("none")
    """Binarize the images, where the gray value of a pixel is its probability of being white: `static` samples each
    image once, `dynamic` samples it again at every step, `none` keeps the gray values. Likelihoods are comparable with
    published ones only on binarized images."""
    latent: int = setting(15)
    """Dimensions of the latent vector z."""
    encoder_width: int = setting(400)
    """Units per hidden layer of the encoder."""
    decoder_width: int = setting(400)
    """Units per hidden layer of the decoder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent", "encoder_width", "decoder_width"):
            check_count(getattr(self, name), option(name))

    @property
    def binarization(self) -> str:
        return self.binarize

    @property
    def unit(self) -> str:
        return "nats per image"


def build(settings: AutoencoderSettings, shape: Shape, classes: int) -> Model:
    """An AE of the report's networks; `classes` is 0."""
    from counterfeit.models.ae.model import AE
    from counterfeit.models.losses import LIKELIHOODS
    from counterfeit.nets import NETS

    pair, likelihood = NETS["fc-vae"], LIKELIHOODS[settings.loss]
    encoder = pair.encoder(shape, settings.latent, settings.encoder_width, 0)
    decoder = pair.decoder(likelihood.outputs(shape), settings.latent, settings.decoder_width, 0)
    return AE(encoder, decoder, likelihood, settings.latent)


register(
    ModelSpec(
        name="ae",
        title="fully connected autoencoder, sampled from a Gaussian fitted to its codes",
        settings=AutoencoderSettings(),
        build=build,
        paper="Hinton & Salakhutdinov 2006, Science 313; sampling: Ghosh et al. 2020, arXiv:1903.12436",
        differs="trained end to end without pretraining; the Gaussian follows the codes during training",
        published=True,
    )
)
