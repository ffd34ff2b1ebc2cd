"""What models have in common whose network sees an image in noise, at a time: their settings and their networks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.errors import InputError
from counterfeit.models.spec import ModelSettings, Sampling, check_not_negative
from counterfeit.settings import check_count, option, setting

if TYPE_CHECKING:
    from torch import nn

    from counterfeit.nets import Shape

OF_DIT = ("layers", "patch")  # settings that the U-Nets have no use for
PIXELS = {"unet": 1, "patch-unet": 2}  # sides in pixels of what the U-Nets see as one


@dataclass(frozen=True)
class DiffusionSettings(ModelSettings):
    """Settings of a network that sees images in noise."""

    ema: float = setting(0.995)
    net: Literal["patch-unet", "unet", "dit"] = setting("unet")  # as runs were before there was a choice
    """Network: `unet` is convolutional, `patch-unet` the same on blocks of 2x2 pixels, four times as fast, and `dit` a
    transformer of patches of the image."""
    width: int = setting(32)
    """Channels of the U-Net at its full resolution; at the lower ones it has twice as many, and the DiT's tokens have
    four times as many."""
    layers: int = setting(4)
    """Transformer layers of the DiT."""
    patch: int = setting(4)
    """Side in pixels of the DiT's patches, which must divide the sides of the images. Half of it is four times as many
    tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "layers", "patch"):
            check_count(getattr(self, name), option(name))
        for field in dataclasses.fields(DiffusionSettings):
            if self.net != "dit" and field.name in OF_DIT and getattr(self, field.name) != field.default:
                raise InputError(
                    f"{option(field.name)} is for --net dit, and it is {self.net}: leave it out, or pass that"
                )

    @property
    def unit(self) -> str:
        return "squared error"


@dataclass(frozen=True)
class ConditionalSettings(DiffusionSettings):
    """Settings of one that learns with labels and without."""

    label_dropout: float = setting(0.1)
    """Share of the training images whose label is hidden from the network, which --guidance of sampling needs; 0 turns
    this off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_dropout < 1:
            raise InputError(
                f"--label-dropout is {self.label_dropout}; it must be at least 0 (off) and less than 1, such as 0.1"
            )


@dataclass(frozen=True)
class GuidedSampling(Sampling):
    """How much samples follow their labels."""

    guidance: float = 1.0
    """Scale of classifier-free guidance: above 1, samples show their label more clearly and vary less. 1 is none, and
    half of the work."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self.guidance, "guidance", "or more; 1 is none, 2 a usual value")


def network(settings: DiffusionSettings, shape: Shape, classes: int) -> nn.Module:
    """Images (B, C, H, W), times (B,) in [0, 1], labels (B,) or None -> (B, C, H, W)."""
    from counterfeit.nets.dit import DiT
    from counterfeit.nets.unet import UNet

    if settings.net == "dit":
        return DiT(shape, 4 * settings.width, settings.layers, settings.patch, classes)
    return UNet(shape, settings.width, classes, PIXELS[settings.net])
