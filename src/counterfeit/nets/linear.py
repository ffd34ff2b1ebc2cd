"""A Linear layer that multiplies with oneDNN on CPUs.

PyTorch multiplies float32 matrices on x86 CPUs with MKL, which does not use AVX-512 on every processor that has it:
on the AMD EPYC where `make bench` was run, oneDNN, which ships inside PyTorch, is about twice as fast at the shapes of
our nets, in the same float32 arithmetic. Convolutions go to oneDNN anyway.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# The operator that torch.compile emits for a Linear on CPUs; builds of PyTorch without oneDNN do not have it.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
NARROW = 16  # below this many outputs, preparing the product takes oneDNN longer than the product


class _OneDnn(torch.autograd.Function):
    """x (B, I), w (O, I), b (O,) or None -> x wᵀ + b, (B, O); its gradients are products of the same kind."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, w)
        return torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        need_x, need_w, need_b = ctx.needs_input_grad
        return (
            _OneDnn.apply(grad, w.T, None) if need_x else None,  # (B, O) (O, I)
            _OneDnn.apply(grad.T, x.T, None) if need_w else None,  # (O, B) (B, I)
            grad.sum(0) if need_b else None,
        )


class Linear(nn.Linear):
    """nn.Linear with the same parameters and results, to float32 rounding."""

    def forward(self, x: Tensor) -> Tensor:
        on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and x.ndim == 2
        if HAS_ONEDNN and on_cpu and self.out_features >= NARROW:
            return _OneDnn.apply(x, self.weight, self.bias)
        return super().forward(x)
