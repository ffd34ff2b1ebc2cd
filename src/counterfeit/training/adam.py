"""Adam, the optimiser of every player."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Adam:
    """Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1, with the numbers of torch.optim.Adam(fused=True), bit for bit.

    It is PyTorch's fused kernel, an operator that PyTorch keeps private, without what torch.optim does around it for
    parameter groups, hooks and parameters that some steps leave out: nothing here has these, and in steps of a few
    milliseconds they take their share. The first use of torch.optim also imports PyTorch's compiler.

    Attributes:
        parameters: what it updates, all in every step.
        first_moments, second_moments: moving averages of the gradients and of their squares, laid out in memory as the
            parameters.
        steps: steps done, a scalar on the parameters' device.
        rate: the learning rate; with `rate_on_device` a scalar tensor beside `steps`, where a CUDA graph finds it.
    """

    EPS = 1e-8

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        betas: tuple[float, float],
        device: torch.device,
        rate_on_device: bool = False,
    ) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.betas = betas
        self.first_moments = [torch.zeros_like(parameter.data) for parameter in self.parameters]
        self.second_moments = [torch.zeros_like(moment) for moment in self.first_moments]
        self.steps = torch.zeros((), dtype=torch.float32, device=device)  # float32 is what the kernel reads
        self.rate: float | Tensor = torch.zeros_like(self.steps) if rate_on_device else 0.0

    def set_rate(self, rate: float) -> None:
        """Take this learning rate from now on."""
        if isinstance(self.rate, Tensor):
            self.rate.fill_(rate)
        else:
            self.rate = rate

    @torch.no_grad()
    def step(self, gradients: list[Tensor]) -> None:
        """One update by the gradients of `parameters`, laid out in memory as they are (see `laid_out`)."""
        self.steps += 1
        beta1, beta2 = self.betas
        torch._fused_adam_(
            self.parameters,
            gradients,
            self.first_moments,
            self.second_moments,
            [],
            [self.steps] * len(self.parameters),  # the kernel only reads them
            lr=self.rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=self.EPS,
            amsgrad=False,
            maximize=False,
        )


def laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient with its parameter's memory layout, as the kernel walks them side by side; a copy if need be."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter.data).copy_(gradient)
