"""uint8 <-> float, exact both ways; grids of images; PNG files.

Images are uint8 (N, C, H, W) wherever they rest, and float32 in [0, 1] wherever a network sees them.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from counterfeit.system.files import write_atomic


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1], as x / 255."""
    return images.float().div_(255)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [0, 1] -> the nearest uint8; values outside are clamped. Inverts `to_float` exactly."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def grid(images: np.ndarray, columns: int | None = None, gap: int = 2, scale: int = 1, paper: int = 255) -> np.ndarray:
    """Lay images out row by row.

    Args:
        images: uint8 (N, C, H, W), N >= 1.
        columns: images a row; by default as square a grid as N allows.
        gap: pixels between neighbours and around the whole.
        scale: each pixel becomes scale x scale, so that small images can be looked at.
        paper: grey value, 0 to 255, of what is between and around the images.

    Returns:
        uint8 (H', W', C).
    """
    n, c, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    h, w = h * scale, w * scale
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), paper, np.uint8)
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    return sheet


def to_pil(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, C), C = 1 or 3, as a Pillow image."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 (H, W, C) as a PNG: whole or not at all."""
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, format="PNG")
    write_atomic(path, buffer.getvalue())
