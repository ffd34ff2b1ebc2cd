"""The interface of a network: a pair of constructors, found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterfeit.errors import InputError
from counterfeit.registry import Registry

Shape = tuple[int, int, int]  # (C, H, W) of one image


@dataclass(frozen=True)
class Pair:
    """Constructors of an encoder and a decoder.

    Attributes:
        encoder: (shape, out, width, classes) -> module: images (B, C, H, W), labels (B,) or None -> (B, out).
        decoder: (shape, latent, width, classes) -> module: z (B, Z), labels (B,) or None -> raw pixels (B, C, H, W).
    """

    encoder: Callable[[Shape, int, int, int], nn.Module]
    decoder: Callable[[Shape, int, int, int], nn.Module]


NETS: Registry[Pair] = Registry("net")


def check_sides(net: str, shape: Shape, least: int) -> None:
    """Raise InputError if a net that halves an image twice cannot take images of this shape."""
    _, h, w = shape
    if h % 4 or w % 4 or min(h, w) < least:
        raise InputError(
            f"the {net} net needs images with sides that are multiples of 4 and at least {least}, not {h}x{w}: "
            "pass another --size for a folder, or take a fully connected model"
        )


def check_patches(net: str, shape: Shape, patch: int) -> None:
    """Raise InputError where a net that sees images in patches cannot cut them."""
    _, h, w = shape
    if h % patch or w % patch:
        raise InputError(
            f"the {net} net cuts images into patches of {patch}x{patch}, and {h}x{w} is no multiple of that: pass "
            f"{'another --patch, ' if net == 'dit' else ''}another --size for a folder, or --net unet"
        )


def halvings(net: str, shape: Shape) -> int:
    """How often both sides can be halved while they are even and not below 8: 3 for 32x32, which ends at 4x4.

    Raises InputError where sides cannot be halved at all, or end above 15: a net would have one huge layer there.
    """
    _, *sides = shape
    times = 0
    while all(side % 2 == 0 and side >= 8 for side in sides):
        sides, times = [side // 2 for side in sides], times + 1
    if not times or max(sides) > 15:
        end = f"below {sides[0]}x{sides[1]}" if times else "at all"
        raise InputError(
            f"the {net} net halves images down to some 4x4, and {shape[1]}x{shape[2]} cannot be halved {end}: pass "
            "--size 32, 48, 64, 96, 128 or 256 for a folder, or take a fully connected model"
        )
    return times


def smallest_maps(shape: Shape) -> tuple[int, int, int]:
    """What is left of a quarter of an image that is halved while its sides are even, one is above 8 and both above 4.

    Returns how often that is, and height and width then: (0, 7, 7) for 28x28, (1, 8, 8) for 64x64, (3, 8, 8) for
    256x256. So, where sides can be halved, a fully connected layer of these maps is as large as that of small images.
    """
    h, w = shape[1] // 4, shape[2] // 4
    times = 0
    while h % 2 == w % 2 == 0 and max(h, w) > 8 and min(h, w) > 4:
        h, w, times = h // 2, w // 2, times + 1
    return times, h, w


def join_label(v: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """Append the one-hot label: (B, V), (B,) -> (B, V + K); with K = 0, the vector is unchanged."""
    if classes == 0:
        return v
    return torch.cat([v, one_hot(y, classes, v.dtype)], dim=1)


def one_hot(y: Tensor | None, classes: int, dtype: torch.dtype) -> Tensor:
    """Labels (B,) -> (B, K); the row of a label that is none of 0 to K - 1 is 0."""
    assert y is not None, "a conditional net needs labels"
    # F.one_hot reads the labels to check them, which would make the CPU wait for the GPU.
    return (y[:, None] == torch.arange(classes, device=y.device)).to(dtype)


def widened(x: Tensor) -> Tensor:
    """Convert the output of a network under autocast: bfloat16 -> float32; wider types are unchanged."""
    return x.float() if x.dtype == torch.bfloat16 else x
