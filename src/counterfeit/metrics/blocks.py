"""Large arrays in parts: products in blocks of limited memory, arithmetic in pieces that fit a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

from counterfeit.metrics.value import Floats

BLOCK_NUMBERS = 2**22 - 2**10
"""Numbers of a product held in memory at once: nearly 32 MiB of float64, the most that `system.allocator` can keep for
the next one."""

PIECE_NUMBERS = 2**15
"""256 KiB of float64: several steps of arithmetic on one piece after another read and write main memory once."""


def blocks(count: int, y: Floats) -> Iterator[slice]:
    """Yield slices of `count` rows such that their products with all of y (M, D) are at most BLOCK_NUMBERS."""
    yield from slices(count, BLOCK_NUMBERS // max(y.shape))


def slices(count: int, step: int) -> Iterator[slice]:
    """Yield slices of `step` rows, at least 1, that cover `count` rows in order; the last may be shorter."""
    step = max(1, step)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def pieces(block: Floats) -> Iterator[slice]:
    """Yield slices of the rows of a block (N, M) that have about PIECE_NUMBERS numbers each."""
    yield from slices(len(block), PIECE_NUMBERS // max(1, block.shape[1]))
