"""Conversion between uint8 and float, exact both ways; grids of images; PNG files.

Images are stored as uint8 (N, C, H, W), and are float32 in [0, 1] when a network sees them.
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
    """Convert uint8 to float32 in [0, 1]: x / 255."""
    return images.float().div_(255)


def to_uint8(images: Tensor) -> Tensor:
    """Convert float in [0, 1] to the nearest uint8; values outside are clamped. Inverts `to_float` exactly."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def grid(images: np.ndarray, columns: int | None = None, gap: int = 2, scale: int = 1, paper: int = 255) -> np.ndarray:
    """Arrange images in a grid, row by row.

    Args:
        images: uint8 (N, C, H, W), N >= 1.
        columns: images per row; by default the grid is as square as N allows.
        gap: pixels between images and around the grid.
        scale: each pixel becomes scale x scale, so that small images can be seen.
        paper: gray value, 0 to 255, between and around the images.

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
    """Convert uint8 (H, W, C), C = 1 or 3, to a Pillow image."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 (H, W, C) as a PNG, atomically."""
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, format="PNG")
    write_atomic(path, buffer.getvalue())
