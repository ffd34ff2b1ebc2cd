"""A small diffusion transformer: Peebles & Xie 2023 (arXiv:2212.09748), with adaLN-Zero.

An image is cut into patches, each a token. Nearly all of its arithmetic is matrix products, which a CPU is quicker at
than at the convolutions, norms and upsampling of a U-Net.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.condition import Condition
from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import Shape, check_patches, widened

HEAD = 32  # numbers per attention head; more where that does not divide the width


class Block(nn.Module):
    """Tokens (B, T, D) and a condition (B, D) -> (B, T, D): attention and an MLP, each with a skip connection.

    The condition shifts and scales what both see, and scales what they add: at first by 0, so that a block starts as
    its skip connection (adaLN-Zero, section 3.2).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, max(1, width // HEAD))
        self.condition = Linear(width, 6 * width)
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        self.mlp = nn.Sequential(Linear(width, 4 * width), nn.GELU(), Linear(4 * width, width))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.condition(c)[:, None].chunk(6, dim=-1)  # (B, 1, D)
        x = torch.addcmul(x, gate, self.attention(modulated(x, shift, scale)))
        return torch.addcmul(x, gate_mlp, self.mlp(modulated(x, shift_mlp, scale_mlp)))

    def attention(self, x: Tensor) -> Tensor:
        """Multi-head self-attention: (B, T, D) -> (B, T, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, T, D / heads)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Tokens (B, T, D), normalized, then shifted and scaled by (B, 1, D) each."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)


class DiT(nn.Module):
    """Images (B, C, H, W), times (B,) in [0, 1] and labels (B,), K for none, or None -> (B, C, H, W)."""

    def __init__(self, shape: Shape, width: int, layers: int, patch: int, classes: int = 0) -> None:
        super().__init__()
        check_patches("dit", shape, patch)
        self.patch, self.grid = patch, (shape[1] // patch, shape[2] // patch)
        pixels = shape[0] * patch**2
        self.time = Condition(width, classes)
        self.stem = Linear(pixels, width)
        self.register_buffer("places", positions(*self.grid, width), persistent=False)
        blocks = [Block(width) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.condition, self.head = Linear(width, 2 * width), Linear(width, pixels)
        # Xavier weights, and zeros where blocks and the head begin with nothing, as in the paper's code.
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        for nothing in (self.condition, self.head, *(block.condition for block in blocks)):
            nn.init.zeros_(nothing.weight)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        c = self.time(t, y)
        tokens = F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)  # (B, T, C p p)
        tokens = self.stem(tokens) + self.places
        for block in self.blocks:
            tokens = block(tokens, c)
        patches = self.head(modulated(tokens, *self.condition(c)[:, None].chunk(2, dim=-1)))  # (B, T, C p p)
        return widened(F.pixel_shuffle(patches.transpose(1, 2).unflatten(2, self.grid), self.patch))


def positions(rows: int, columns: int, width: int) -> Tensor:
    """Sines and cosines of the places in a grid: (rows columns, width), half of them of the row, half of the column."""
    cpu = torch.device("cpu")  # not "meta", where a model is sized up
    rates = torch.exp(torch.arange(width // 4, device=cpu) * (-math.log(10_000) / (width // 4)))
    along = [torch.arange(n, device=cpu)[:, None] * rates for n in (rows, columns)]  # (rows, D / 4), (columns, D / 4)
    down, across = (torch.cat([angles.sin(), angles.cos()], dim=1) for angles in along)
    grid = [down[:, None].expand(-1, columns, -1), across[None].expand(rows, -1, -1)]
    return torch.cat(grid, dim=2).flatten(0, 1)
