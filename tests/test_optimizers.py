"""Our Adam against PyTorch's, bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
from counterfeit.training.adam import Adam, laid_out
from torch import nn

RATES = [1e-3, 1e-3, 3e-4]
BETAS = (0.5, 0.999)


def net() -> nn.Module:
    """Parameters of one, two and four axes, the last ones' memory in channels-last order."""
    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 4), nn.Flatten(), nn.Linear(484, 10))
    return convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def gradients(of: nn.Module, step: int) -> list[torch.Tensor]:
    torch.manual_seed(step)
    return list(torch.autograd.grad(of(torch.randn(5, 3, 10, 10)).square().sum(), list(of.parameters())))


@pytest.mark.parametrize("rate_on_device", [False, True])
def test_the_weights_of_every_step_are_those_of_pytorchs_adam(rate_on_device: bool) -> None:
    ours, theirs = net(), net()
    adam = Adam(ours.parameters(), BETAS, torch.device("cpu"), rate_on_device)
    rate = torch.zeros(()) if rate_on_device else 0.0
    reference = torch.optim.Adam(theirs.parameters(), lr=rate, betas=BETAS, fused=True)
    for step, value in enumerate(RATES):
        before = copy.deepcopy(list(ours.parameters()))
        adam.set_rate(value)
        reference.param_groups[0]["lr"] = torch.tensor(value) if rate_on_device else value
        found = [gradient.contiguous() for gradient in gradients(ours, step)]  # not the layout of four axes
        adam.step([laid_out(g, p) for g, p in zip(found, ours.parameters(), strict=True)])
        for parameter, gradient in zip(theirs.parameters(), gradients(theirs, step), strict=True):
            parameter.grad = gradient.clone()
        reference.step()
        for one, two, old in zip(ours.parameters(), theirs.parameters(), before, strict=True):
            assert torch.equal(one, two)
            assert not torch.equal(one, old)


def test_a_gradient_takes_its_parameters_layout() -> None:
    parameter = torch.zeros(4, 3, 2, 2).to(memory_format=torch.channels_last)
    gradient = torch.randn(4, 3, 2, 2)
    found = laid_out(gradient, parameter)
    assert torch.equal(found, gradient) and found.stride() == parameter.stride() != gradient.stride()
    assert laid_out(found, parameter) is found
