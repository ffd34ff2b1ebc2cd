"""Weight initialization, by the names used in papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from counterfeit.nets.spectral import SpectralNorm
from counterfeit.registry import Registry

# name -> function that fills the weights of a layer in place; None keeps the initialization of each network
INITIAL: Registry[Callable[[Tensor], object] | None] = Registry("initialization")
INITIAL.add("own", None)
INITIAL.add("xavier", nn.init.xavier_uniform_)  # Glorot & Bengio 2010
INITIAL.add("he", partial(nn.init.kaiming_normal_, nonlinearity="relu"))  # He et al. 2015, arXiv:1502.01852
INITIAL.add("normal", partial(nn.init.normal_, std=0.02))  # Radford et al. 2016, arXiv:1511.06434, section 4


def initialize(net: nn.Module, name: str) -> None:
    """Initialize the weights of all linear and convolutional layers of a network; biases are set to 0.

    Of a normalized weight, what it is computed from; what normalizes it starts anew (`SpectralNorm.start`).
    """
    fill = INITIAL[name]
    for module in net.modules():
        if fill is not None and isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if parametrize.is_parametrized(module, "weight"):  # what the weight is computed from
                parts: Any = module.parametrizations.weight  # type: ignore[union-attr]
                fill(parts.original)
                for part in parts:
                    if isinstance(part, SpectralNorm):  # not what a model of one's own normalizes with
                        part.start(parts.original)
            else:
                fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


# Random functions used when a layer is constructed. All of them accept a generator, but PyTorch's layers pass none.
RANDOM = {"uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_", "trunc_normal_", "rand", "randn", "randperm"}


class Seeded(TorchFunctionMode):
    """Initialize layers that this thread constructs within the context from a separate generator.

    The values are those that `torch.manual_seed(seed)` would give, but PyTorch's global generator is neither used nor
    changed: it belongs to the user, and is shared by all threads.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        filled = args[0] if args else kwargs.get("tensor")
        if name in RANDOM and isinstance(filled, Tensor) and filled.is_meta:
            return filled  # there are no numbers to fill in, for which PyTorch would import its compiler
        if name in RANDOM:
            kwargs = {**kwargs, "generator": self.generator}
        return func(*args, **kwargs)
