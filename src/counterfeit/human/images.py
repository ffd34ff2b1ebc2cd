"""The images of a test: one way to PNG for real and generated ones, and noise, which everybody can tell."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np

from counterfeit.data.pixels import to_pil

NOISE = 64  # images of noise in a test


def png(image: np.ndarray) -> bytes:
    """uint8 (C, H, W) as a PNG of that size, which the page scales; it holds nothing but pixels."""
    buffer = io.BytesIO()
    to_pil(image.transpose(1, 2, 0)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def digest(image: np.ndarray) -> str:
    """SHA-256 (hex) of the shape and the pixels of an image, uint8 (C, H, W)."""
    return hashlib.sha256(json.dumps(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def noise(shape: tuple[int, int, int], seed: int, n: int = NOISE) -> np.ndarray:
    """n images of independent uniform pixels, uint8 (n, C, H, W)."""
    return np.random.default_rng([seed, n]).integers(0, 256, (n, *shape), np.uint8)
