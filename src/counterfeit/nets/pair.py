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


def join_label(v: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """Append the one-hot label: (B, V), (B,) -> (B, V + K); with K = 0, the vector is unchanged."""
    if classes == 0:
        return v
    assert y is not None, "a conditional net needs labels"
    # F.one_hot reads the labels to check them, which would make the CPU wait for the GPU.
    one_hot = y[:, None] == torch.arange(classes, device=y.device)
    return torch.cat([v, one_hot.to(v.dtype)], dim=1)


def widened(x: Tensor) -> Tensor:
    """Convert the output of a network under autocast: bfloat16 -> float32; wider types are unchanged."""
    return x.float() if x.dtype == torch.bfloat16 else x
