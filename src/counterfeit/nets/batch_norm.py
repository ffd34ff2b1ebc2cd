"""Batch normalization whose batch is shared out over processes.

torch's SyncBatchNorm does the same on GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterfeit.nets.pair import widened
from counterfeit.system.distributed import Group


class _Mean(torch.autograd.Function):
    """The mean over processes of a tensor that each has.

    Each process's loss is a mean over its rows and the whole loss the mean of those, so what its tensor does to the
    whole loss is the mean of what the result does to each: backward is the same as forward. As an operation of its own
    it is in the graph of gradients too, so that second derivatives average over processes once more.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Group) -> Tensor:
        ctx.group = group
        mean = tensor.clone()
        group.average([mean])
        return mean

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Mean.apply(grad, ctx.group), None


class SharedBatchNorm(_BatchNorm):
    """Takes the place of an nn.BatchNorm1d or 2d, with its parameters, buffers and results, to float32 rounding."""

    def __init__(self, of: _BatchNorm, group: Group) -> None:
        super().__init__(of.num_features, of.eps, of.momentum, of.affine)
        self.group = group
        self._parameters, self._buffers = of._parameters, of._buffers

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """(B, C) or (B, C, H, W) -> the same shape; B are this process's rows."""
        if not self.training:
            return super().forward(input)
        input = widened(input)  # moments are kept in float32, whatever the layer before it computed in
        axes, form = [0, *range(2, input.ndim)], [1, -1] + [1] * (input.ndim - 2)
        mean = _Mean.apply(input.mean(axes), self.group)  # (C,)
        centered = input - mean.view(form)
        variance = _Mean.apply(centered.square().mean(axes), self.group)  # (C,)
        self._track(mean, variance, input.numel() // self.num_features * self.group.world)
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return centered * scale.view(form)
        return torch.addcmul(self.bias.view(form), centered, (self.weight * scale).view(form))

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Move the running moments, of which the variance is the unbiased one of n values."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)


def share_batch_norm(model: nn.Module, group: Group) -> None:
    """Make every batch norm in the model one over all processes, in place; a single process keeps torch's own."""
    if group.world == 1:
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(module, name, SharedBatchNorm(child, group))
