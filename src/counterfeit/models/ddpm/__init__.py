"""Denoising diffusion: its settings, its options of sampling, and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.errors import InputError
from counterfeit.models.diffusion import DiffusionSettings, network
from counterfeit.models.spec import ModelSpec, Sampling, register
from counterfeit.settings import check_count, setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape

TIMES = 1000  # T, the steps in which an image becomes noise


@dataclass(frozen=True)
class DDPMSettings(DiffusionSettings):
    """Settings of denoising diffusion."""

    noise_schedule: Literal["linear", "cosine"] = setting("linear")
    """How the share of noise grows over the 1000 steps: `linear` is DDPM's, `cosine` keeps more of the image for
    longer."""
    predict: Literal["noise", "velocity"] = setting("noise")
    """What the network predicts: the `noise` in its image, or the `velocity`, a mix of noise and image that is defined
    at all times."""


@dataclass(frozen=True)
class DDIMSampling(Sampling):
    """How noise is brought to images."""

    steps: int = 50
    """Steps of DDIM, spread evenly over the 1000 of training. Each runs the network once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.steps, "--steps")
        if self.steps > TIMES:
            raise InputError(f"--steps is {self.steps}; it must be at most {TIMES}, the steps of training")


def build(settings: DDPMSettings, shape: Shape, classes: int) -> Model:
    """A diffusion model; `classes` is 0."""
    from counterfeit.models.ddpm.model import DDPM

    return DDPM(network(settings, shape, classes), shape, settings.noise_schedule, settings.predict)


register(
    ModelSpec(
        name="ddpm",
        title="denoising diffusion, sampled by DDIM",
        settings=DDPMSettings(net="patch-unet", schedule="cosine"),
        build=build,
        paper="Ho, Jain & Abbeel 2020, arXiv:2006.11239; sampling: Song, Meng & Ermon 2021, arXiv:2010.02502",
        differs="a small U-Net without attention, or a small DiT; samples by DDIM without noise (eta = 0)",
        sampling=DDIMSampling(),
        small={"net": "dit", "width": 4},  # quicker than a U-Net
        small_sampling={"steps": 2},
    )
)
