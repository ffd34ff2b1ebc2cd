"""Our optimizers against PyTorch's, and how the rates of a run rise and fall."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from counterfeit.errors import InputError
from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Stage
from counterfeit.models.build import build
from counterfeit.models.plan import Plan
from counterfeit.models.spec import Optimizer as Recipe
from counterfeit.training.loop import Stepped, run_steps
from counterfeit.training.optimizers import OPTIMIZERS, Optimizer, laid_out, shortened
from counterfeit.training.state import State

RATES = [1e-3, 1e-3, 3e-4]
BETAS = (0.5, 0.999)
CPU = torch.device("cpu")


def net() -> nn.Module:
    """Parameters of one, two and four axes, the last ones' memory in channels-last order."""
    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 4), nn.Flatten(), nn.Linear(484, 10))
    return convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def gradients(of: nn.Module, step: int) -> list[torch.Tensor]:
    torch.manual_seed(step)
    return list(torch.autograd.grad(of(torch.randn(5, 3, 10, 10)).square().sum(), list(of.parameters())))


def recipe(kind: str = "adam", betas: tuple[float, float] = BETAS, decay: float = 0.0, clip: float = 0.0) -> Recipe:
    return Recipe(kind, RATES[0], betas, decay, clip)


def ours_of(network: nn.Module, how: Recipe, rate_on_device: bool = False) -> Optimizer:
    return OPTIMIZERS[how.kind](network.parameters(), how, CPU, rate_on_device)


def compare(
    how: Recipe,
    reference: Callable[[list[nn.Parameter], float | torch.Tensor], torch.optim.Optimizer],
    same: Callable[[torch.Tensor, torch.Tensor], object],
    rate_on_device: bool = False,
    clip: float = 0.0,
) -> None:
    """The weights after every step of ours and of the reference, by the same gradients."""
    ours, theirs = net(), net()
    optimizer = ours_of(ours, how, rate_on_device)
    of_torch = reference(list(theirs.parameters()), torch.zeros(()) if rate_on_device else 0.0)
    for step, value in enumerate(RATES):
        before = copy.deepcopy(list(ours.parameters()))
        optimizer.set_rate(value)
        of_torch.param_groups[0]["lr"] = torch.tensor(value) if rate_on_device else value
        found = [gradient.contiguous() for gradient in gradients(ours, step)]  # not the layout of four axes
        optimizer.step([laid_out(g, p) for g, p in zip(found, ours.parameters(), strict=True)])
        for parameter, gradient in zip(theirs.parameters(), gradients(theirs, step), strict=True):
            parameter.grad = gradient.clone()
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        of_torch.step()
        for one, two, old in zip(ours.parameters(), theirs.parameters(), before, strict=True):
            assert same(one, two) is not False
            assert not torch.equal(one, old)


def nearly(one: torch.Tensor, two: torch.Tensor) -> None:
    """To rounding in another order: some epsilons of float32, 1.2e-7, of a weight of up to 0.2, in each of three steps.

    A decay, a bias correction or an epsilon in the wrong place makes at least a hundredth of a step, 1e-5.
    """
    torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rate_on_device", [False, True])
def test_the_weights_of_every_step_are_those_of_pytorchs_adam(rate_on_device: bool) -> None:
    def reference(parameters, rate):
        return torch.optim.Adam(parameters, lr=rate, betas=BETAS, fused=True)

    compare(recipe(), reference, torch.equal, rate_on_device)


@pytest.mark.parametrize("rate_on_device", [False, True])
def test_adam_with_weight_decay_is_pytorchs_adamw(rate_on_device: bool) -> None:
    def reference(parameters, rate):
        return torch.optim.AdamW(parameters, lr=rate, betas=BETAS, weight_decay=0.3, fused=True)

    compare(recipe(decay=0.3), reference, torch.equal, rate_on_device)


@pytest.mark.parametrize("rate_on_device", [False, True])
def test_rmsprop_is_pytorchs(rate_on_device: bool) -> None:
    def reference(parameters, rate):
        return torch.optim.RMSprop(parameters, lr=0.0, alpha=0.9, foreach=False)

    compare(recipe("rmsprop", (0.0, 0.9)), reference, nearly, rate_on_device)


@pytest.mark.parametrize("rate_on_device", [False, True])
def test_rmsprops_weight_decay_is_decoupled(rate_on_device: bool) -> None:
    """By the definition: w <- (1 - rate * decay) w before each step of PyTorch's, which has none of that kind."""

    class Decayed(torch.optim.RMSprop):
        @torch.no_grad()
        def step(self, closure=None):
            (group,) = self.param_groups
            for parameter in group["params"]:
                parameter.mul_(1 - float(group["lr"]) * 0.3)
            return super().step(closure)

    def reference(parameters, rate):
        return Decayed(parameters, lr=0.0, alpha=0.9, foreach=False)

    compare(recipe("rmsprop", (0.0, 0.9), decay=0.3), reference, nearly, rate_on_device)


def test_a_networks_gradient_is_clipped_as_pytorch_clips_it() -> None:
    """By gradients of norms of some hundreds, all at once, of which 5 is left; and one that is short enough stays."""
    for longest in (5.0, 1e6):
        found = gradients(net(), 0)
        parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in found]
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient.clone()
        norm = nn.utils.clip_grad_norm_(parameters, longest)
        assert norm > 10
        for parameter, gradient in zip(parameters, shortened(found, longest), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-6, atol=0)  # a norm summed in another order


def test_a_gradient_of_two_parameters_is_clipped_once() -> None:
    """Autograd gives parameters that are added one tensor as the gradient of both."""
    one, two = (nn.Parameter(torch.zeros(3)) for _ in range(2))
    found = torch.autograd.grad(((one + two) * torch.tensor([3.0, 4.0, 12.0])).sum(), [one, two])
    assert found[0].data_ptr() == found[1].data_ptr()
    expected = torch.tensor([3.0, 4.0, 12.0]) / (13 * 2**0.5)
    for gradient in shortened(list(found), 1.0):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=0)  # 1e-6 beside a norm of 18, and float32


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_an_optimizer_clips_before_it_steps(kind: str) -> None:
    def reference(parameters, rate):
        if kind == "adam":
            return torch.optim.Adam(parameters, lr=rate, betas=(0.0, 0.9), fused=True)
        return torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, foreach=False)

    # The third gradient is shorter than the second by a factor that no clipping would leave in the moments.
    compare(recipe(kind, (0.0, 0.9), clip=0.01), reference, nearly, clip=0.01)


def test_a_gradient_takes_its_parameters_layout() -> None:
    parameter = torch.zeros(4, 3, 2, 2).to(memory_format=torch.channels_last)
    gradient = torch.randn(4, 3, 2, 2)
    found = laid_out(gradient, parameter)
    assert torch.equal(found, gradient) and found.stride() == parameter.stride() != gradient.stride()
    assert laid_out(found, parameter) is found


# ------------------------------------------------------------------------------------------------------------- rates


def rates(**settings: object) -> list[float]:
    """The rate of each of twelve steps, three epochs of four, as the loop sets it."""
    config = MODELS["vae"].settings.replace(
        {"epochs": 3, "batch_size": 2, "lr": 1.0, "encoder_width": 2, "decoder_width": 2, **settings}
    )
    state = State.fresh(build(MODELS["vae"], config, (1, 4, 4), 0), config, CPU)
    images = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    return [
        float(state.optimizers["autoencoder"].rate)
        for event in run_steps(state, images, None, config)
        if isinstance(event, Stepped)
    ]


def test_schedules_are_their_closed_forms() -> None:
    n = 12
    assert rates() == [1.0] * n
    assert rates(schedule="linear") == pytest.approx([1 - i / n for i in range(n)], rel=1e-12)
    assert rates(schedule="cosine") == pytest.approx([math.cos(math.pi * i / n / 2) ** 2 for i in range(n)], rel=1e-12)


def test_a_warm_up_rises_in_equal_steps_and_all_factors_multiply() -> None:
    risen = [0.2, 0.4, 0.6, 0.8, *[1.0] * 8]
    assert rates(warm_up=5) == pytest.approx(risen, rel=1e-12)
    whole = rates(warm_up=5, schedule="linear", lr_decay=0.5)
    expected = [rise * (1 - i / 12) * 0.5 ** (i // 4) for i, rise in enumerate(risen)]
    assert whole == pytest.approx(expected, rel=1e-12)


def test_each_stage_warms_up_and_falls_by_itself() -> None:
    """Two epochs of one stage and one of another, of four steps each."""
    state = State.fresh(build(MODELS["vae"], small_settings(), (1, 4, 4), 0), small_settings(), CPU)
    config = small_settings(warm_up=2, schedule="linear")
    stages = [Stage(state.model.step, "first", epochs=2), Stage(state.model.step, "second")]
    plan, found = Plan.of(stages, 8, 2, 3), []
    for state.step in range(plan.total):
        state.set_rates(config, plan)
        found.append((state.optimizers["autoencoder"].rate, float(state.progress)))
    expected = [(min(1, (i + 1) / 2) * (1 - i / n), i / n) for n in (8, 4) for i in range(n)]
    assert np.allclose(found, expected, rtol=1e-6, atol=0)  # progress is float32


def small_settings(**settings: object) -> ModelSettings:
    small = {"epochs": 3, "batch_size": 2, "lr": 1.0, "encoder_width": 2, "decoder_width": 2}
    return MODELS["vae"].settings.replace({**small, **settings})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"optimizer": "rmsprop"}, "--optimizer rmsprop has no momentum, .*: pass --betas 0 0.99"),
        ({"warm_up": -1}, "--warm-up is -1"),
        ({"weight_decay": -0.1}, "--weight-decay is -0.1"),
        ({"clip_norm": math.inf}, "--clip-norm is inf"),
        ({"schedule": "cosin"}, "--schedule"),
    ],
)
def test_settings_of_the_optimizer_are_checked(settings: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        MODELS["vae"].settings.replace(settings)
