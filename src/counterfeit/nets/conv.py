"""Convolutions as oneDNN is quickest at them on CPUs, with the parameters and, to float32 rounding, the results of
PyTorch's own.

- Images have one channel or three, and oneDNN's kernels run over 16 channels at once: a result of one channel takes as
  long as one of sixteen. Layers next to images compute such results in other ways.
- Images that are doubled by repeating their pixels and then convolved cost less than half as transposed convolution.
- A transposed convolution is the gradient of a convolution, and quicker as that than by PyTorch's operator for it.
- A bias's gradient is a sum over a whole batch. oneDNN adds the numbers up one after another, which takes longer than
  PyTorch's sum by parts, and rounds more.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.linear import in_float32_on_cpu

FEW = 4  # channels of images: up to so many, blocks and overlapping patches are quicker


def _gradients(
    grad: Tensor, x: Tensor, w: Tensor, stride: int, padding: int, transposed: bool, wanted: list[bool]
) -> list[Tensor | None]:
    """Of x, w and b, those wanted, by PyTorch's operator but for the last."""
    pair, (need_x, need_w, need_b) = [stride] * 2, wanted
    dx = dw = None
    if need_x or need_w:
        dx, dw, _ = torch.ops.aten.convolution_backward(
            grad, x, w, None, pair, [padding] * 2, [1, 1], transposed, [0, 0], 1, [need_x, need_w, False]
        )
    return [dx, dw, grad.sum((0, 2, 3)) if need_b else None]


class _Conv2d(torch.autograd.Function):
    """x (B, C, H, W), w (O, C, k, k), b (O,) -> (B, O, H', W').

    With stride 1 and without padding, the gradient of few channels C is computed in blocks of r x r pixels, whose C r²
    numbers are taken as channels: a convolution with stride r and kernels of k+r-1, then a pixel shuffle (Shi et al.
    2016, arXiv:1609.05158).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, w, b, stride, padding)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        need_x, need_w, need_b, *_ = ctx.needs_input_grad
        r = _block(x.shape[1])
        plain = ctx.stride == 1 and ctx.padding == 0
        in_blocks = need_x and plain and x.shape[1] <= FEW and x.shape[2] % r == 0 and x.shape[3] % r == 0
        wanted = [need_x and not in_blocks, need_w, need_b]
        dx, dw, db = _gradients(grad, x, w, ctx.stride, ctx.padding, False, wanted)
        return _gradient_of_images(grad, w) if in_blocks else dx, dw, db, None, None


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
    """nn.Conv2d as its arguments are here: with a bias, and one group."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        if not in_float32_on_cpu(x):
            return super().forward(x)
        (stride, _), padding, k = self.stride, int(self.padding[0]), self.weight.shape[-1]
        if self.out_channels <= FEW and stride == 1:  # as a transposed one, whose few channels are patches that overlap
            turned = self.weight.flip(2, 3).transpose(0, 1)
            return _transposed(x, turned, self.bias, 1, k - 1 - padding)
        return _Conv2d.apply(x, self.weight, self.bias, stride, padding)


class _ConvTranspose2d(torch.autograd.Function):
    """x (B, C, H, W), w (C, C', k, k), b (C',) -> (B, C', H', W')."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.stride, ctx.padding = stride, padding
        h, width = ((side - 1) * stride - 2 * padding + w.shape[-1] for side in x.shape[2:])
        way = _overlapping if w.shape[1] <= FEW else _as_gradient
        return way(x, w, (h, width), stride, padding).add_(b.view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        return *_gradients(grad, x, w, ctx.stride, ctx.padding, True, ctx.needs_input_grad[:3]), None, None


def _overlapping(x: Tensor, w: Tensor, size: tuple[int, int], stride: int, padding: int) -> Tensor:
    """To few channels: every pixel's patch is a row of one matrix product, and the patches overlap in a sum."""
    n, c, h, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(n * h * width, c)
    patches = F.linear(pixels, w.flatten(1).T).view(n, h * width, -1)  # (B, HW, C' k k)
    return F.fold(patches.transpose(1, 2), size, w.shape[-1], padding=padding, stride=stride)


def _as_gradient(x: Tensor, w: Tensor, size: tuple[int, int], stride: int, padding: int) -> Tensor:
    """The gradient of images that a convolution by w has made into something whose gradient is x."""
    # torch.nn.grad.conv2d_input passes one number, expanded, for the images: its result is not channels last.
    shape = (len(x), w.shape[1], *size)  # all that matters of the images
    images = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    wanted = [True, False, False]
    return torch.ops.aten.convolution_backward(
        x, images, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, wanted
    )[0]


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d as its arguments are here: with a bias, and one group."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # torch's can be asked for an output size
        if in_float32_on_cpu(x):
            return _transposed(x, self.weight, self.bias, self.stride[0], int(self.padding[0]))
        return super().forward(x)


def _transposed(x: Tensor, w: Tensor, b: Tensor | None, stride: int, padding: int) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)  # once: the gradients need it as well
    return _ConvTranspose2d.apply(x, w, b, stride, padding)


def convolved_double(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x (B, C, H, W), doubled by repeating its pixels, then convolved by w (O, C, 3, 3), b (O,) -> (B, O, 2H, 2W).

    All that a pixel of x adds to the result is a patch of 4x4: the kernel, once for each of its four copies. So it is a
    transposed convolution with that patch, of 16 products instead of 36.
    """
    turned = F.pad(w.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))  # (C, O, 5, 5)
    tall = turned[:, :, 1:] + turned[:, :, :-1]
    patch = (tall[..., 1:] + tall[..., :-1]).contiguous(memory_format=torch.channels_last)  # (C, O, 4, 4)
    return _transposed(x, patch, b, stride=2, padding=1)
