"""A small causal transformer over sequences of codes: the network of priors.

Vaswani et al. 2017 (arXiv:1706.03762), with learned positions and the norm before each part (Xiong et al. 2020,
arXiv:2002.04745).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.nets.linear import Linear
from counterfeit.nets.pair import widened

SPREAD = 0.02  # standard deviation of embeddings at the start


class Past:
    """Keys and values of the positions that a block has seen."""

    def __init__(self) -> None:
        self.seen: tuple[Tensor, Tensor] | None = None

    def with_(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All of them, with those of more positions, each (B, heads, T, D / heads)."""
        if self.seen is not None:
            keys, values = (torch.cat(pair, dim=2) for pair in zip(self.seen, (keys, values), strict=True))
        self.seen = keys, values
        return self.seen


class Block(nn.Module):
    """(B, T, D) -> the same: attention to positions before, then two layers for each position, both added to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.joined = Linear(width, 3 * width), Linear(width, width)
        self.layers = nn.Sequential(Linear(width, 4 * width, slope=0), Linear(4 * width, width))

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        """With a `past`, x is the one position that comes after it."""
        three = self.attention(self.before_attention(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = three.permute(2, 0, 3, 1, 4)  # (B, heads, T, D / heads) each
        if past is not None:
            key, value = past.with_(key, value)
        found = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.joined(found.transpose(1, 2).flatten(2))
        return x + self.layers(self.before_layers(x))


class Transformer(nn.Module):
    """p(codes) = Π p(code t | codes before it), of T codes from 0 to K - 1; with labels p(codes | label)."""

    def __init__(self, codes: int, length: int, width: int, depth: int, heads: int, classes: int = 0) -> None:
        super().__init__()
        self.length = length
        self.start = nn.Embedding(max(1, classes), width)  # takes the place of a code before the first
        self.embedding = nn.Embedding(codes, width)
        self.positions = nn.Parameter(torch.empty(length, width))
        for weight in (self.start.weight, self.embedding.weight, self.positions):
            nn.init.normal_(weight, std=SPREAD)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), Linear(width, codes))

    def forward(self, codes: Tensor, y: Tensor | None = None) -> Tensor:
        """Codes (B, T) int64, labels (B,) or None -> logits of each by those before it: (B, T, K)."""
        x = torch.cat([self._first(len(codes), y), self.embedding(codes[:, :-1])], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return widened(self.head(x))

    def draw(self, chances: Tensor, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Draw sequences one code after another: uniform numbers (B, T), labels (B,) or None -> codes (B, T).

        A code is where its number lies among the cumulated probabilities, which are those of logits / temperature.
        """
        pasts = [Past() for _ in self.blocks]
        found: list[Tensor] = []
        for t in range(self.length):
            x = self.embedding(found[-1]) if found else self._first(len(chances), y)
            x = x + self.positions[t]
            for block, past in zip(self.blocks, pasts, strict=True):
                x = block(x, past)
            cumulated = (widened(self.head(x)) / temperature).softmax(-1).cumsum(-1)  # (B, 1, K)
            # The last is 1 up to rounding, and no number is above it.
            below = cumulated[..., :-1] <= chances[:, t, None, None] * cumulated[..., -1:]
            found.append(below.sum(-1))
        return torch.cat(found, dim=1)

    def _first(self, n: int, y: Tensor | None) -> Tensor:
        """(n, 1, D)"""
        weight = self.start.weight
        return self.start(y)[:, None] if y is not None and len(weight) > 1 else weight[:1].expand(n, 1, -1)
