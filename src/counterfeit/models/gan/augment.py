"""Differentiable augmentation: real and generated images are changed alike before the discriminator sees them.

Zhao et al. 2020 (arXiv:2006.10738). A discriminator that has few images learns them by heart; one that never sees an
image twice in the same way cannot. The generator learns through the changes, and its own images stay unchanged.

Each change maps images (B, C, H, W) in [-1, 1] and a source of random numbers to images of the same shape, by numbers
of its own for each image. They are matrix products and sums, so that gradients of any order pass through them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from counterfeit.registry import Registry
from counterfeit.system.noise import Noise

Change = Callable[[Tensor, Noise], Tensor]
CHANGES: Registry[Change] = Registry("augmentation")

FARTHEST = 1 / 8  # that images move, as a share of their side
HOLE = 1 / 2  # side of the square that is cut out, as a share of the image's


@CHANGES.register("flip")
def flipped(x: Tensor, rng: Noise) -> Tensor:
    """Mirror half of the images, left to right."""
    return torch.where(rng.uniform(len(x), 1, 1, 1) < 0.5, x.flip(3), x)


@CHANGES.register("color")
def recolored(x: Tensor, rng: Noise) -> Tensor:
    """Brightness ± 0.5; distance from the pixel's gray times 0 to 2; distance from the image's mean times 0.5 to 1.5.

    Images of one channel have no color, and only brightness and contrast change.
    """
    brightness, saturation, contrast = (rng.uniform(len(x), 1, 1, 1) for _ in range(3))
    x = x + (brightness - 0.5)
    gray = x.mean(1, keepdim=True)
    x = gray + (x - gray) * (2 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


@CHANGES.register("translation")
def moved(x: Tensor, rng: Noise) -> Tensor:
    """Move by up to an eighth of each side, by whole pixels; what comes in is 0, the middle of the range."""
    down, right = (_shifts(x.shape[axis], len(x), rng) for axis in (2, 3))
    return down[:, None] @ x @ right[:, None].transpose(2, 3)


@CHANGES.register("cutout")
def cut(x: Tensor, rng: Noise) -> Tensor:
    """Set a square of half of the side to 0; its middle is anywhere, so that parts of it may lie outside."""
    rows, columns = (_outside(x.shape[axis], len(x), rng) for axis in (2, 3))  # (B, H) and (B, W)
    return x * (rows[:, :, None] | columns[:, None, :])[:, None].to(x.dtype)


def augmented(x: Tensor, names: Sequence[str], rng: Noise) -> Tensor:
    """The images after the named changes, in their order."""
    for name in names:
        x = CHANGES[name](x, rng)
    return x


def _shifts(side: int, n: int, rng: Noise) -> Tensor:
    """n matrices (side, side) that move a column of numbers by whole places, drawn from -side/8 to side/8."""
    most = int(side * FARTHEST + 0.5)
    by = (rng.uniform(n) * (2 * most + 1)).floor() - most
    places = torch.arange(side, device=by.device)
    return (places[:, None] - places[None, :] == by[:, None, None]).to(by.dtype)


def _outside(side: int, n: int, rng: Noise) -> Tensor:
    """Which of `side` places lie outside of an interval of length side/2 around a middle: (n, side), bool."""
    length = int(side * HOLE + 0.5)
    start = (rng.uniform(n, 1) * (side + 1 - length % 2)).floor() - length // 2
    places = torch.arange(side, device=start.device)
    return (places < start) | (places >= start + length)
