"""A Linear layer with an optional activation, computed with oneDNN on CPUs.

On x86 CPUs, PyTorch multiplies float32 matrices with MKL, which does not use AVX-512 on every processor that has it. On
the AMD EPYC on which `make bench` was run, oneDNN, which is part of PyTorch, is about twice as fast for the shapes in
our networks, in the same float32 arithmetic. Convolutions use oneDNN anyway.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The operator that torch.compile emits for a Linear layer on CPUs; builds of PyTorch without oneDNN lack it.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
NARROW = 16  # with fewer outputs, oneDNN's preparation takes longer than the product
LONG = (
    2048  # from so many rows on, oneDNN's copies of both operands of a weight's gradient take longer than MKL's product
)


def _product(x: Tensor, w: Tensor, b: Tensor | None = None, slope: float | None = None) -> Tensor:
    """x (B, I), w (O, I), b (O,) -> x wᵀ + b, with the activation in the same pass."""
    name, scalars = ("none", []) if slope is None else ("leaky_relu", [slope]) if slope else ("relu", [])
    return torch.ops.mkldnn._linear_pointwise.default(x, w, b, name, scalars, "")


def in_float32_on_cpu(x: Tensor) -> bool:
    """Whether a layer should compute in float32 on a CPU; with autocast, PyTorch's own layers are used."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _OneDnn(torch.autograd.Function):
    """x (B, I), w (O, I), b (O,) or None -> act(x wᵀ + b), (B, O); its gradients are products, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, slope: float | None) -> Tensor:
        out = _product(x, w, b, slope)
        ctx.slope = slope
        ctx.save_for_backward(x, w, out if slope is not None else None)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, w, out = ctx.saved_tensors
        if ctx.slope is not None:  # the output of a leaky ReLU has the sign of its input
            grad = torch.ops.aten.leaky_relu_backward.default(grad, out, ctx.slope, True)
        # For second derivatives, the products themselves must be differentiable; otherwise the plain operator is
        # faster.
        product = (lambda x, w: _OneDnn.apply(x, w, None, None)) if torch.is_grad_enabled() else _product
        need_x, need_w, need_b, _ = ctx.needs_input_grad
        return (
            product(grad, w.T) if need_x else None,  # (B, O) (O, I)
            (grad.T @ x if len(x) >= LONG else product(grad.T, x.T)) if need_w else None,  # (O, B) (B, I)
            grad.sum(0) if need_b else None,
            None,
        )


class Linear(nn.Linear):
    """nn.Linear with an activation: ReLU (slope 0), LeakyReLU, or none (None); equal up to float32 rounding.

    (…, I) -> (…, O), as nn.Linear.
    """

    def __init__(self, inputs: int, outputs: int, slope: float | None = None) -> None:
        super().__init__(inputs, outputs)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        if HAS_ONEDNN and in_float32_on_cpu(x) and x.ndim > 1 and self.out_features >= NARROW:
            rows = x if x.ndim == 2 else x.flatten(0, -2)  # (B, T, I) -> (B T, I)
            out = _OneDnn.apply(rows, self.weight, self.bias, self.slope)
            return out if x.ndim == 2 else out.unflatten(0, x.shape[:-1])
        out = super().forward(x)
        return out if self.slope is None else F.leaky_relu_(out, self.slope) if self.slope else F.relu_(out)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, slope={self.slope}"
