"""Convolutions from and to images, which have one channel or three: the two products that oneDNN is slow at on CPUs.

A convolution's kernels run over 16 channels at once, so that a result of one channel takes as long as one of sixteen.
Both layers have the parameters and, to float32 rounding, the results of PyTorch's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.linear import in_float32_on_cpu

FEW = 4  # channels up to which the other way is quicker


class _Conv2d(torch.autograd.Function):
    """x (B, C, H, W), w (O, C, k, k), b (O,) -> (B, O, H-k+1, W-k+1), with few channels C and stride 1.

    The gradient of x has C channels. It is computed in blocks of r x r pixels, whose C r² numbers are taken as
    channels: a convolution with stride r and kernels of k+r-1, then a pixel shuffle (Shi et al. 2016,
    arXiv:1609.05158).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return F.conv2d(x, w, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        need_x, need_w, need_b = ctx.needs_input_grad
        dw = db = None
        if need_w:
            mask = [False, need_w, need_b]
            _, dw, db = torch.ops.aten.convolution_backward(
                grad, x, w, [len(w)], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask
            )
        return _gradient_of_images(grad, w) if need_x else None, dw, db


def _block(channels: int) -> int:
    """r, the side of a block: C r² is 16 or near it."""
    return 4 if channels == 1 else 2


def _gradient_of_images(grad: Tensor, w: Tensor) -> Tensor:
    """grad (B, O, H-k+1, W-k+1), w (O, C, k, k) -> (B, C, H, W)."""
    channels, k = w.shape[1], w.shape[-1]
    r = _block(channels)
    turned = w.flip(2, 3).transpose(0, 1)  # (C, O, k, k)
    blocks = turned.new_zeros(channels, r, r, len(w), k + r - 1, k + r - 1)
    for i in range(r):
        for j in range(r):
            blocks[:, i, j, :, i : i + k, j : j + k] = turned
    kernels = blocks.flatten(0, 2).contiguous(memory_format=torch.channels_last)  # (C r², O, k+r-1, k+r-1)
    return F.pixel_shuffle(F.conv2d(grad, kernels, stride=r, padding=k - 1), r)


class Conv2d(nn.Conv2d):
    """nn.Conv2d of stride 1 without padding, for images."""

    def forward(self, x: Tensor) -> Tensor:
        r = _block(self.in_channels)
        fits = self.in_channels <= FEW and x.shape[2] % r == 0 and x.shape[3] % r == 0
        if in_float32_on_cpu(x) and fits:
            return _Conv2d.apply(x, self.weight, self.bias)
        return super().forward(x)


class _ConvTranspose2d(torch.autograd.Function):
    """x (B, C, H, W), w (C, C', k, k), b (C',) -> (B, C', H', W'), with few channels C'.

    Every pixel's patch is a row of one matrix product, and the patches overlap in a sum. The gradients are PyTorch's.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.stride, ctx.padding = stride, padding
        n, c, h, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(n * h * width, c)
        patches = F.linear(pixels, w.flatten(1).T).view(n, h * width, -1)  # (B, HW, C' k k)
        k = w.shape[-1]
        size = ((h - 1) * stride - 2 * padding + k, (width - 1) * stride - 2 * padding + k)
        return F.fold(patches.transpose(1, 2), size, k, padding=padding, stride=stride) + b.view(-1, 1, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, w = ctx.saved_tensors
        stride, padding = [ctx.stride] * 2, [ctx.padding] * 2
        dx, dw, db = torch.ops.aten.convolution_backward(
            grad, x, w, [w.shape[1]], stride, padding, [1, 1], True, [0, 0], 1, list(ctx.needs_input_grad[:3])
        )
        return dx, dw, db, None, None


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, to images."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # torch's can be asked for an output size
        if in_float32_on_cpu(x) and self.out_channels <= FEW:
            return _ConvTranspose2d.apply(x, self.weight, self.bias, self.stride[0], self.padding[0])
        return super().forward(x)
