"""The optimizers: what moves the weights of one network by its gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from counterfeit.models.spec import Optimizer as Recipe
from counterfeit.registry import Registry


class Optimizer(ABC):
    """Moves all parameters of a network in every step: nothing here has parameter groups, hooks or skipped parameters.

    Attributes:
        parameters: what it updates, all in every step.
        moments: what it remembers beside them, by name: moving averages, laid out in memory as the parameters.
        steps: steps done, a scalar on the parameters' device.
        rate: the learning rate; with `rate_on_device` a scalar tensor beside `steps`, where a CUDA graph finds it.
    """

    REMEMBERS: ClassVar[tuple[str, ...]]

    def __init__(
        self, parameters: Iterable[nn.Parameter], recipe: Recipe, device: torch.device, rate_on_device: bool = False
    ) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.recipe = recipe
        self.moments = {
            name: [torch.zeros_like(parameter.data) for parameter in self.parameters] for name in self.REMEMBERS
        }
        self.steps = torch.zeros((), dtype=torch.float32, device=device)  # float32 is what Adam's kernel reads
        self.rate: float | Tensor = torch.zeros_like(self.steps) if rate_on_device else 0.0
        self.known_rate = -1.0

    def set_rate(self, rate: float) -> None:
        """Take this learning rate from now on."""
        if rate == self.known_rate:
            return
        self.known_rate = rate
        if isinstance(self.rate, Tensor):
            self.rate.fill_(rate)
        else:
            self.rate = rate

    @torch.no_grad()
    def step(self, gradients: list[Tensor]) -> None:
        """One update by the gradients of `parameters`, laid out in memory as they are (see `laid_out`)."""
        if self.recipe.clip_norm:
            gradients = shortened(gradients, self.recipe.clip_norm)
        self.steps += 1
        self.move(gradients)

    @abstractmethod
    def move(self, gradients: list[Tensor]) -> None:
        """Change the parameters, `steps` counting this step."""


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")


@OPTIMIZERS.register("adam")
@final
class Adam(Optimizer):
    """Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1, with the numbers of torch.optim.Adam(fused=True), bit for bit.

    With weight decay it is AdamW: Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2.

    It is PyTorch's fused kernel, an operator that PyTorch keeps private, without what torch.optim does around it: in
    steps of a few milliseconds that takes its share. The first use of torch.optim also imports PyTorch's compiler.
    """

    EPS = 1e-8
    REMEMBERS = ("first_moment", "second_moment")

    def move(self, gradients: list[Tensor]) -> None:
        beta1, beta2 = self.recipe.betas
        kernel = torch._fused_adamw_ if self.recipe.weight_decay else torch._fused_adam_
        kernel(
            self.parameters,
            gradients,
            self.moments["first_moment"],
            self.moments["second_moment"],
            [],
            [self.steps] * len(self.parameters),  # the kernel only reads them
            lr=self.rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=self.recipe.weight_decay,
            eps=self.EPS,
            amsgrad=False,
            maximize=False,
        )


@OPTIMIZERS.register("rmsprop")
@final
class RMSProp(Optimizer):
    """Tieleman & Hinton 2012, lecture 6.5, as torch.optim.RMSprop has it, without momentum; weight decay as AdamW's."""

    EPS = 1e-8
    REMEMBERS = ("second_moment",)

    def move(self, gradients: list[Tensor]) -> None:
        smoothing, squares = self.recipe.betas[1], self.moments["second_moment"]
        if self.recipe.weight_decay:
            torch._foreach_mul_(self.parameters, 1 - self.rate * self.recipe.weight_decay)
        torch._foreach_mul_(squares, smoothing)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - smoothing)
        scale = torch._foreach_sqrt(squares)
        torch._foreach_add_(scale, self.EPS)
        steps = torch._foreach_div(gradients, scale)
        torch._foreach_mul_(steps, self.rate)
        torch._foreach_sub_(self.parameters, steps)


def shortened(gradients: list[Tensor], longest: float) -> list[Tensor]:
    """The gradients of a network, scaled to a common norm of at most `longest` as torch's clip_grad_norm_ does.

    Not in place: autograd gives one tensor for two parameters that are added, which would be scaled twice.
    """
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return list(torch._foreach_mul(gradients, (longest / (norm + 1e-6)).clamp(max=1.0)))


def laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient with its parameter's memory layout, as kernels walk them side by side; a copy if need be."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter.data).copy_(gradient)
