"""A look at a detector of the user's own before it is trusted: fixed images go through it twice, in other company.

A score takes for granted that an image's features depend on the image alone. A detector with dropout, or with batch
norm in training mode, breaks that without an error, and its scores would be wrong numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np

from counterfeit.detectors.detector import Detector
from counterfeit.errors import InputError

# Images of a look, and how far the second is beyond the first. A detector's usual block is 64, so that the halves that
# both looks have stand among others each time.
LOOK, SHIFT = 64, 32
COARSE = 4  # pixels: half of the images are squares of this side, since noise of single pixels averages to grey
# How far the features of one image may be apart, by their spread over images. float32 is 1e-6 off where sums are
# taken in another order, TF32 1e-3, bfloat16 4e-3. Of distances, which every metric goes by, 1e-2 changes 1e-4.
TOLERANCE = 1e-2


def probed(detector: Detector, shape: tuple[int, int, int]) -> str:
    """SHA-256 (hex) of a detector's features of fixed images of a shape (C, H, W).

    Raises:
        InputError: the same images have other features beside other images, or the second time.
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
    """Whether features float64 (N, D) of the same images are the same, up to rounding."""
    if once.shape != twice.shape:
        return False
    spread = np.linalg.norm(once - once.mean(axis=0))
    return bool(np.linalg.norm(once - twice) <= TOLERANCE * spread)  # of a constant, both are 0


def probe_images(shape: tuple[int, int, int]) -> np.ndarray:
    """LOOK + SHIFT images, uint8 (N, C, H, W), the same on every machine: noise, and noise in squares, in turn."""
    rng = np.random.default_rng(0)
    c, h, w = shape
    images = rng.integers(0, 256, (LOOK + SHIFT, c, h, w), dtype=np.uint8)
    squares = rng.integers(0, 256, (LOOK + SHIFT, c, -(-h // COARSE), -(-w // COARSE)), dtype=np.uint8)
    images[1::2] = squares[1::2].repeat(COARSE, axis=2).repeat(COARSE, axis=3)[:, :, :h, :w]
    return images
