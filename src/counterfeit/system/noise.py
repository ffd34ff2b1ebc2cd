"""Random numbers for a batch, the same for any number of processes that share the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """The only source of randomness in a training step, or in sampling.

    Every process holds the same generator, draws numbers for the whole batch and takes its own rows, every `world`th.
    Therefore N processes compute what a single one would, and their generators stay in the same state. The first axis
    of a shape is always that of the rows.

    Attributes:
        generator: draws on its own device.
        rank, world: index of this process, and number of processes. Shapes count the rows of this process only; every
            process has the same number.
        device: where the numbers are returned; by default the generator's device.
    """

    generator: torch.Generator
    rank: int = 0
    world: int = 1
    device: torch.device | None = None

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu", purpose: str = "training") -> Noise:
        """A source for a single process, drawn on the CPU, so that a seed gives the same noise on all devices.

        Each purpose has its own stream. The seed of a run and the seed of samples are often both 0, and a generator
        remembers the noise that it was trained on: with a single stream, samples drawn from the noise of the last
        training steps were classified with more confidence, by 7 standard errors of 10,000 images.
        """
        if purpose != "training":
            seed = int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:8], "little") >> 1
        return cls(torch.Generator().manual_seed(seed), device=torch.device(device))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32."""
        return self._mine(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float32."""
        return self._mine(torch.rand, shape)

    def bytes(self, below: int, *shape: int) -> Tensor:
        """Uniform integers from 0 to below - 1, uint8."""
        return self._mine(lambda whole, **on: torch.randint(below, whole, dtype=torch.uint8, **on), shape)

    def _mine(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        n, *rest = shape
        whole = draw((n * self.world, *rest), generator=self.generator, device=self.generator.device)
        mine = whole[self.rank :: self.world]
        return mine if self.device is None else mine.to(self.device)
