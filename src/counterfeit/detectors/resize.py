"""Resize uint8 images of any size to the input of the Inception network: 299x299 RGB in [-1, 1].

FID values differ by whole points between these protocols (Parmar et al. 2022, arXiv:2104.11222), so each one reproduces
its original bit for bit or nearly so. `tf1` follows torch-fidelity 0.4.0, which follows TensorFlow 1 and thereby the
paper that introduced FID; `pytorch-fid` follows pytorch-fid 0.3.0; `clean` follows clean-fid 0.1.35. Grayscale images
are repeated to three channels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from counterfeit.registry import Registry

SIDE = 299  # pixels

# uint8 (B, C, H, W) with C = 1 or 3 -> float32 (B, C, 299, 299), roughly in [-1, 1]
PROTOCOLS: Registry[Callable[[Tensor], Tensor]] = Registry("resize protocol")


@PROTOCOLS.register("tf1")
def tf1(images: Tensor) -> Tensor:
    """TensorFlow 1's `resize_bilinear`: top-left aligned, no half-pixel centers, no antialias; (x - 128) / 128."""
    # (B, C, H, W) -> (B, C, H, 299) -> (B, C, 299, 299): the same sums as over four neighbors, in the same order
    return (_stretch(_stretch(images.float(), 3), 2) - 128) / 128


def _stretch(x: Tensor, axis: int) -> Tensor:
    """Interpolate linearly along one axis to 299 positions; output i is at input position i * size / 299."""
    size = x.shape[axis]
    place = torch.arange(SIDE, dtype=torch.float32, device=x.device) * torch.tensor(size / SIDE, dtype=torch.float32)
    low = place.long()
    high = (low + 1).clamp_max(size - 1)
    weight = place - low.float()
    weight = weight[:, None] if axis == 2 else weight
    start = x.index_select(axis, low)
    return start + (x.index_select(axis, high) - start) * weight


@PROTOCOLS.register("pytorch-fid")
def pytorch_fid(images: Tensor) -> Tensor:
    """Bilinear with half-pixel centers, no antialias, on pixels in [0, 1]; then 2x - 1."""
    return 2 * F.interpolate(images.float() / 255, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1


@PROTOCOLS.register("clean")
def clean(images: Tensor) -> Tensor:
    """Pillow's bicubic filter (antialiased) on each channel in float32, clipped to 0-255; (x - 128) / 128."""
    pixels = images.cpu().numpy().astype(np.float32)
    resized = np.empty((*pixels.shape[:2], SIDE, SIDE), np.float32)
    for image, out in zip(pixels, resized, strict=True):
        for c, channel in enumerate(image):
            out[c] = Image.fromarray(channel).resize((SIDE, SIDE), resample=Image.Resampling.BICUBIC)
    return (torch.from_numpy(resized.clip(0, 255)).to(images.device) - 128) / 128
