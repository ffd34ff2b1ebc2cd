"""Flow matching: its settings, its options of sampling, and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.models.spec import ModelSettings, ModelSpec, Sampling, register
from counterfeit.settings import check_count, setting

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class FlowSettings(ModelSettings):
    """Settings of a flow."""

    ema: float = setting(0.995)
    width: int = setting(32)
    """Channels of the U-Net at full resolution; at the lower ones it has twice as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.width, "--width")

    @property
    def unit(self) -> str:
        return "squared error"


@dataclass(frozen=True)
class FlowSampling(Sampling):
    """How the flow is solved from noise to images."""

    steps: int = 20
    """Steps of the solver. More follow the flow more closely, and take longer in proportion."""
    solver: Literal["euler", "midpoint", "heun"] = "heun"
    """Rule for a step: `euler` runs the network once, `midpoint` and `heun` twice with a smaller error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.steps, "--steps")


def build(settings: FlowSettings, shape: Shape, classes: int) -> Model:
    """A flow of a U-Net; `classes` is 0."""
    from counterfeit.models.flow.model import Flow
    from counterfeit.nets.unet import UNet

    return Flow(UNet(shape, settings.width), shape)


register(
    ModelSpec(
        name="flow",
        title="flow matching: noise carried to images along learned straight lines",
        settings=FlowSettings(),
        build=build,
        paper="Lipman et al. 2023, arXiv:2210.02747; Liu, Gong & Liu 2023, arXiv:2209.03003",
        differs="a small U-Net without attention, a fixed-step solver, no class condition",
        sampling=FlowSampling(),
        small={"width": 4},
        small_sampling={"steps": 2},
    )
)
