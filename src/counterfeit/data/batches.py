"""The order in which an epoch visits the images."""

from __future__ import annotations

import numpy as np


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of range(n), int64 (n,), in which this epoch visits the images.

    A pure function of its arguments (`seed` and `epoch` at least 0), so that training resumes at any position of
    any epoch without a stored generator state.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
    return generator.permutation(n).astype(np.int64, copy=False)
