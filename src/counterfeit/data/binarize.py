"""Binarize grayscale images, so that a Bernoulli likelihood is a true likelihood and its nats can be compared.

A pixel with value v, 0 to 255, becomes white with probability v / 255. This is exact: v is compared with a uniform
integer from 0 to 254. Black and white images are unchanged.

In `static` training, every image is binarized once and has the same pixels in every epoch; in `dynamic` training, it is
binarized again at every step. Published bounds of the two differ by about 2 nats on MNIST, because models overfit to
fixed pixels. Evaluation always uses fixed draws. They are our own, and not the files known in the literature as
"statically binarized MNIST".
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from counterfeit.system.noise import Noise

SEED = 20130520  # seed of the fixed draws, the same for all runs; pinned by a digest in the tests
BLOCK = 1000  # images per generator


def draw(images: Tensor, rng: Noise) -> Tensor:
    """Binarize images with `rng`: uint8 (B, C, H, W) -> float32 of the same shape, each value 0 or 1."""
    return (rng.bytes(255, *images.shape) < images).float()


def fixed(images: np.ndarray, split: str) -> np.ndarray:
    """Binarize images with fixed draws, in memory: uint8 (N, C, H, W) -> the same shape, each pixel 0 or 255.

    The draw of a pixel depends only on SEED, the split, the image's index and the pixel's position: every call gives
    the same pixels, and the first n images get the same ones with or without the rest.
    """
    drawn = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        rng = np.random.default_rng([SEED, *split.encode(), start])
        drawn[start : start + BLOCK] = (rng.integers(0, 255, block.shape, np.uint8) < block) * np.uint8(255)
    return drawn
