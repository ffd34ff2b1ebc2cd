"""Black and white images out of grey ones, so that a Bernoulli likelihood is one and its nats can be compared.

A pixel of value v, 0 to 255, becomes white with probability v / 255: exactly that, for it is compared with an integer
drawn evenly from 0 to 254. Black and white images pass unchanged.

`static` training draws every image once and sees the same pixels in every epoch; `dynamic` training draws anew at
every step. Published bounds of the two are about 2 nats apart on MNIST: fixed pixels are overfitted. Evaluation always
takes fixed draws. They are ours, and not those of the files that the literature calls "statically binarised MNIST".
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from counterfeit.system.noise import Noise

SEED = 20130520  # of the fixed draws, the same for all runs; a digest in the tests pins them
BLOCK = 1000  # images drawn from one generator


def draw(images: Tensor, rng: Noise) -> Tensor:
    """uint8 (B, C, H, W) -> float32 of the same shape, each 0 or 1, drawn from `rng`."""
    return (rng.bytes(255, *images.shape) < images).float()


def fixed(images: np.ndarray, split: str) -> np.ndarray:
    """uint8 (N, C, H, W) -> the same with each pixel 0 or 255, held in memory.

    A pixel's draw is a function of SEED, the split, the image's index and the pixel's place, and of nothing else: the
    same at every call, and of the first n images alone the same as of all.
    """
    drawn = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        rng = np.random.default_rng([SEED, *split.encode(), start])
        drawn[start : start + BLOCK] = (rng.integers(0, 255, block.shape, np.uint8) < block) * np.uint8(255)
    return drawn
