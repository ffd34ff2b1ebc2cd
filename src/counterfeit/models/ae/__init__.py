"""The autoencoder: its settings and its name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from counterfeit.errors import InputError
from counterfeit.models.spec import Fitted, ModelSettings, ModelSpec, Sampling, register
from counterfeit.settings import check_count, option, setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class AutoencoderSettings(ModelSettings):
    """Settings of an autoencoder. The defaults are the report's."""

    loss: Literal["bernoulli", "gaussian", "logistic"] = setting("bernoulli")
    """Likelihood of a pixel given z: `gaussian` learns its variance, `logistic` is of the 256 levels of a pixel and
    learns its scale."""
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
        if self.binarize != "none" and self.loss != "bernoulli":
            raise InputError(f"--binarize {self.binarize} makes pixels for --loss bernoulli, not {self.loss}")

    @property
    def binarization(self) -> str:
        return self.binarize

    @property
    def unit(self) -> str:
        return "nats per image"


@dataclass(frozen=True)
class LatentSampling(Sampling):
    """Where the latents of samples come from."""

    sampler: Literal["own", "gaussian", "gmm", "two-stage"] = "own"
    """Distribution of the latents: `own` is the model's; `gaussian`, `gmm` (a mixture of Gaussians) and `two-stage` (a
    VAE of codes) are fitted to the codes of the training images, once, and kept in the run."""
    components: int = 30
    """Gaussians of a `gmm`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.components, "--components")

    def check_given(self, names: Collection[str]) -> None:
        if "components" in names and self.sampler != "gmm":
            raise InputError(f"--components is for --sampler gmm, and it is {self.sampler}: leave it out, or pass that")

    @property
    def fitted(self) -> Fitted | None:
        kinds = {"gaussian": Fitted("mixture", 1), "gmm": Fitted("mixture", self.components)}
        return {**kinds, "two-stage": Fitted("two-stage"), "own": None}[self.sampler]

    def to_dict(self) -> dict[str, Any]:
        """What decides the latents: nothing where they are the model's own, as before there was a choice."""
        asked = {"own": (), "gmm": ("sampler", "components")}.get(self.sampler, ("sampler",))
        return {name: getattr(self, name) for name in asked}


def build(settings: AutoencoderSettings, shape: Shape, classes: int) -> Model:
    """An AE of the report's networks; `classes` is 0."""
    from counterfeit.models.ae.model import AE
    from counterfeit.models.losses import LIKELIHOODS
    from counterfeit.nets import NETS

    pair, likelihood = NETS["fc-vae"], LIKELIHOODS[settings.loss]()
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
        sampling=LatentSampling(),
        published=True,
    )
)
