"""Check the user's own detector before it is used: fixed images pass through it twice, in different batches.

A score assumes that the features of an image depend on that image alone. A detector with dropout, or with batch norm in
training mode, violates this without an error, and its scores would be wrong.
"""

from __future__ import annotations

import hashlib

import numpy as np

from counterfeit.detectors.detector import Detector
from counterfeit.errors import InputError

# Images per pass, and the offset of the second pass. The default block of a custom detector is 64, so the 32 images
# that are in both passes are in a block with different images each time.
LOOK, SHIFT = 64, 32
COARSE = 4  # pixels: half of the images consist of squares of this side, since single-pixel noise averages out to gray
# Largest allowed difference between the features of one image, relative to their spread over images. float32 differs by
# 1e-6 when sums are taken in another order, TF32 by 1e-3, bfloat16 by 4e-3. A difference of 1e-2 changes distances,
# which every metric uses, by a relative 1e-4.
TOLERANCE = 1e-2


def probed(detector: Detector, shape: tuple[int, int, int]) -> str:
    """SHA-256 (hex) of a detector's features of fixed images of shape (C, H, W).

    Raises:
        InputError: the same images have different features in another batch or in a second call.
    """
    images = probe_images(shape)
    first = detector(images[:LOOK]).features
    order = np.random.default_rng(1).permutation(LOOK)
    again = detector(images[SHIFT:][order]).features[np.argsort(order)]
    once, twice = (part.astype(np.float64) for part in (first[SHIFT:], again[: LOOK - SHIFT]))
    if not _alike(once, twice):
        raise InputError(
            f"detector {detector.name} returns different features for the same image in another batch or call: "
            "it is random, or in training mode; call .eval() on its network"
        )
    return hashlib.sha256(f"{first.dtype} {first.shape} ".encode() + first.tobytes()).hexdigest()


def _alike(once: np.ndarray, twice: np.ndarray) -> bool:
    """Whether two arrays of features of the same images, float64 (N, D), are equal up to rounding."""
    if once.shape != twice.shape:
        return False
    spread = np.linalg.norm(once - once.mean(axis=0))
    return bool(np.linalg.norm(once - twice) <= TOLERANCE * spread)  # for constant features, both sides are 0


def probe_images(shape: tuple[int, int, int]) -> np.ndarray:
    """LOOK + SHIFT images, uint8 (N, C, H, W), the same on every machine: noise of pixels and of squares in turn."""
    rng = np.random.default_rng(0)
    c, h, w = shape
    images = rng.integers(0, 256, (LOOK + SHIFT, c, h, w), dtype=np.uint8)
    squares = rng.integers(0, 256, (LOOK + SHIFT, c, -(-h // COARSE), -(-w // COARSE)), dtype=np.uint8)
    images[1::2] = squares[1::2].repeat(COARSE, axis=2).repeat(COARSE, axis=3)[:, :, :h, :w]
    return images
