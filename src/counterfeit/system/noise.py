"""Random numbers by the batch, the same however many processes share the batch out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """The only source of randomness of a training step, or of samples.

    Every process holds the same generator, draws for the whole batch and keeps its own rows, every `world`th: N
    processes then compute what one would, and their generators stay equal. The first axis is always that of the rows.

    Attributes:
        generator: draws on its own device.
        rank, world: this process of how many; shapes are those of its rows, of which there are as many in each.
        device: where the numbers are wanted, by default the generator's.
    """

    generator: torch.Generator
    rank: int = 0
    world: int = 1
    device: torch.device | None = None

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu", purpose: str = "training") -> Noise:
        """Of one process, from the seed's start; drawn on the CPU, so that a seed's noise is the same on all devices.

        Each purpose has a stream of its own: seeds of runs and of samples are mostly 0 both, and a generator knows the
        noise that it was trained on. By one stream, the last steps' part of it gave samples of which a classifier was
        surer, by 7 standard errors of 10,000 images.
        """
        if purpose != "training":
            seed = int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:8], "little") >> 1
        return cls(torch.Generator().manual_seed(seed), device=torch.device(device))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, float32."""
        return self._mine(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Even on [0, 1), float32."""
        return self._mine(torch.rand, shape)

    def bytes(self, below: int, *shape: int) -> Tensor:
        """Even on 0, 1, … below - 1, uint8."""
        return self._mine(lambda whole, **on: torch.randint(below, whole, dtype=torch.uint8, **on), shape)

    def _mine(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        n, *rest = shape
        whole = draw((n * self.world, *rest), generator=self.generator, device=self.generator.device)
        mine = whole[self.rank :: self.world]
        return mine if self.device is None else mine.to(self.device)
