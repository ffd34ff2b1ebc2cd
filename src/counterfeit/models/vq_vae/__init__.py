"""The VQ-VAE: its settings, its options of sampling, and its name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.errors import InputError
from counterfeit.models.spec import ModelSettings, ModelSpec, Sampling, check_not_negative, register
from counterfeit.settings import check_count, option, setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape

HEADS = 4  # of the prior's attention, which its width is shared out to


@dataclass(frozen=True)
class VQVAESettings(ModelSettings):
    """Settings of a VQ-VAE."""

    codes: int = setting(512)
    """Number of codes in the codebook."""
    code_size: int = setting(64)
    """Dimensions of a code's vector."""
    width: int = setting(64)
    """Channels of the encoder and of the decoder at a quarter of the images' sides; residual blocks have half of them
    within."""
    commitment: float = setting(0.25)
    """Weight of the distance between encoder outputs and their codes, which holds the encoder to the codebook."""
    decay: float = setting(0.99)
    """Decay rate of the moving averages that the codes are."""
    revival: float = setting(0.1)
    """A code that is used less than this share of an even use is replaced by an encoder output; 0 turns this off."""
    prior_share: float = setting(0.5)
    """Share of the epochs, the last ones, in which the prior is trained and the autoencoder is not; of one epoch, every
    step trains both."""
    prior_width: int = setting(96)
    """Dimensions of a position in the prior, a transformer; a multiple of 4."""
    prior_depth: int = setting(3)
    """Blocks of the prior."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("codes", "code_size", "width", "prior_width", "prior_depth"):
            check_count(getattr(self, name), option(name))
        check_not_negative(self.commitment, "commitment", "or more, such as 0.25")
        if not 0 <= self.decay < 1:
            raise InputError(f"--decay is {self.decay}; it must be at least 0 and less than 1, such as 0.99")
        if not 0 <= self.revival < 1:
            raise InputError(f"--revival is {self.revival}; it must be at least 0 (off) and less than 1, such as 0.1")
        if not 0 < self.prior_share < 1:
            raise InputError(f"--prior-share is {self.prior_share}; it must be more than 0 and less than 1")
        if self.prior_width % HEADS:
            raise InputError(f"--prior-width is {self.prior_width}; it must be a multiple of {HEADS}")


@dataclass(frozen=True)
class VQVAESampling(Sampling):
    """Where the codes of samples come from."""

    prior: Literal["learned", "uniform"] = "learned"
    """Distribution of the codes: `learned` is the transformer's, `uniform` draws every code alike, for comparison."""
    temperature: float = 1.0
    """Divides the learned prior's logits: below 1, likelier codes are drawn more often than they should be."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"--temperature is {self.temperature}; it must be a positive number, such as 0.9")

    def check_given(self, names: Collection[str]) -> None:
        if "temperature" in names and self.prior == "uniform":
            raise InputError("--temperature is for --prior learned, and it is uniform: leave it out, or pass that")


def build(settings: VQVAESettings, shape: Shape, classes: int) -> Model:
    """A VQ-VAE; with `classes` above 0, its prior is conditional."""
    from counterfeit.models.vq_vae.codebook import Codebook
    from counterfeit.models.vq_vae.model import VQVAE
    from counterfeit.nets.transformer import Transformer
    from counterfeit.nets.vq import Decoder, Encoder

    encoder = Encoder(shape, settings.code_size, settings.width)
    decoder = Decoder(shape, settings.code_size, settings.width)
    codebook = Codebook(settings.codes, settings.code_size, settings.decay, settings.revival)
    grid = shape[1] // 4, shape[2] // 4
    length, depth = grid[0] * grid[1], settings.prior_depth
    prior = Transformer(settings.codes, length, settings.prior_width, depth, HEADS, classes)
    whole = settings.length == ("epochs", 1)  # which has no parts
    share = None if whole else settings.prior_share
    return VQVAE(encoder, decoder, codebook, prior, grid, settings.commitment, share, classes)


register(
    ModelSpec(
        name="vq-vae",
        title="images as grids of discrete codes, and a transformer that draws new grids",
        settings=VQVAESettings(),
        build=build,
        paper="van den Oord, Vinyals & Kavukcuoglu 2017, arXiv:1711.00937",
        differs="a transformer for the prior in place of PixelCNN, smaller networks, dead codes are revived",
        sampling=VQVAESampling(),
        small={"codes": 16, "code_size": 4, "width": 4, "prior_width": 16, "prior_depth": 1},
    )
)
