"""Flow matching: its settings, its options of sampling, and its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterfeit.models.diffusion import ConditionalSettings, DiffusionSettings, GuidedSampling, network
from counterfeit.models.spec import ModelSpec, Sampling, register
from counterfeit.settings import check_count

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class FlowSampling(Sampling):
    """How the flow is solved from noise to images."""

    steps: int = 10
    """Steps of the solver. More follow the flow more closely, and take longer in proportion."""
    solver: Literal["euler", "midpoint", "heun", "rk4"] = "midpoint"
    """Rule for a step: `euler` runs the network once, `midpoint` and `heun` twice with a smaller error, `rk4` four
    times with the smallest. With few steps `heun` falls behind."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.steps, "--steps")


@dataclass(frozen=True)
class GuidedFlowSampling(GuidedSampling, FlowSampling):
    """How the flow is solved, and how much it follows labels."""


def build(settings: DiffusionSettings, shape: Shape, classes: int) -> Model:
    """A flow; with `classes` above 0 a conditional one."""
    from counterfeit.models.flow.model import Flow

    dropout = settings.label_dropout if isinstance(settings, ConditionalSettings) else 0.0
    return Flow(network(settings, shape, classes), shape, classes, dropout)


PAPERS = "Lipman et al. 2023, arXiv:2210.02747; Liu, Gong & Liu 2023, arXiv:2209.03003"

register(
    ModelSpec(
        name="flow",
        title="flow matching: noise carried to images along learned straight lines",
        settings=DiffusionSettings(net="patch-unet", schedule="cosine"),
        build=build,
        paper=PAPERS,
        differs="a small U-Net without attention, or a small DiT; a fixed-step solver, no class condition",
        sampling=FlowSampling(),
        small={"width": 8},
        small_sampling={"steps": 2},
    )
)
register(
    ModelSpec(
        name="cflow",
        title="conditional flow matching, with classifier-free guidance",
        settings=ConditionalSettings(net="patch-unet", schedule="cosine"),
        build=build,
        conditional=True,
        paper=f"{PAPERS}; guidance: Ho & Salimans 2022, arXiv:2207.12598",
        differs="a small U-Net without attention, or a small DiT; a fixed-step solver; guidance of velocities",
        sampling=GuidedFlowSampling(),
        small={"net": "dit", "width": 4},  # quicker than a U-Net
        small_sampling={"steps": 2},
    )
)
