"""Features of images; those of real images are kept in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np

from counterfeit.console import progress
from counterfeit.data import ImageSet
from counterfeit.detectors import Detector, Features
from counterfeit.scoring.images import subset
from counterfeit.scoring.kept import Arrays, kept, key_of

NONE = np.zeros((0, 0), np.float32)  # stands in a cached file for class probabilities that a detector does not give


def of_batches(detector: Detector, batches: Iterator[np.ndarray], n: int, what: str) -> Features:
    """Features of n images that come in batches; progress is shown on stderr, under `what` where that is not empty."""
    with progress(f"{detector.name}: {what}", n) if what else nullcontext() as advance:
        found = [detector(batch, advance) for batch in batches]
    probabilities = [f.probabilities for f in found if f.probabilities is not None]
    return Features(
        np.concatenate([f.features for f in found]), np.concatenate(probabilities) if probabilities else None
    )


def of_real(detector: Detector, images: ImageSet, n: int, seed: int) -> Features:
    """Features of n real images (all, or a seeded subset), from the cache where they were computed before."""
    n = min(n, len(images))
    what = f"{n:,} real images of {images.name}:{images.split}"

    def make() -> Arrays:
        batches = (np.asarray(images.images[rows]) for rows in subset(len(images), n, seed))
        found = of_batches(detector, batches, n, what)
        return {
            "features": found.features,
            "probabilities": NONE if found.probabilities is None else found.probabilities,
        }

    arrays = kept("features", key(detector, images, n, seed), ("features", "probabilities"), what, make)
    probabilities = arrays["probabilities"]
    return Features(arrays["features"], probabilities if probabilities.size else None)


def key(detector: Detector, images: ImageSet, n: int, seed: int) -> str | None:
    """The identity of features; None for a detector without a digest of its weights, which is asked every time."""
    if detector.weights_sha256 is None:
        return None
    chosen = "all" if n >= len(images) else [n, seed]
    return key_of([images.digest, chosen, detector.name, detector.weights_sha256, detector.protocol], "detectors")
