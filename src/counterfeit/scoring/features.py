"""Features of images; those of real images are cached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np

from counterfeit.data import ImageSet
from counterfeit.data.form import form_of
from counterfeit.data.rows import take
from counterfeit.detectors import Detector, Features
from counterfeit.sampling import BLOCK
from counterfeit.scoring.images import Images, subset
from counterfeit.scoring.kept import Arrays, kept, key_of
from counterfeit.system.console import progress
from counterfeit.system.distributed import Group

NONE = np.zeros((0, 0), np.float32)  # marks missing class probabilities in a cached file


# The parts of our source that choose images and convert them
CHOICE = ("data/form.py", "scoring/images.py")


def of_batches(detector: Detector, batches: Iterator[np.ndarray], n: int, what: str) -> Features:
    """Features of n images in batches. Shows progress on stderr with the label `what`, unless that is empty."""
    with progress(f"{detector.name}: {what}", n) if what else nullcontext() as advance:
        found = [detector(batch, advance) for batch in batches]
    probabilities = [f.probabilities for f in found if f.probabilities is not None]
    return Features(
        np.concatenate([f.features for f in found]), np.concatenate(probabilities) if probabilities else None
    )


def of_generated(detector: Detector, fakes: Images, n: int, seed: int, what: str, group: Group) -> Features | None:
    """Features of n generated images; processes share the work. The first process gets all features, the others None.

    The result is bitwise the same as with one process, because generator and detector work in blocks of fixed size.
    """
    shares = group.shares(n, BLOCK)
    mine = len(shares[group.rank])
    found = group.everyone(lambda: of_batches(detector, fakes.draw(n, seed, group), mine, what) if mine else None)
    parts = group.gather(found)
    if parts is None:
        return None
    order = np.argsort(np.concatenate(shares))
    there = [part for part in parts if part is not None]
    probabilities = [part.probabilities for part in there if part.probabilities is not None]
    return Features(
        np.concatenate([part.features for part in there])[order],
        np.concatenate(probabilities)[order] if probabilities else None,
    )


def of_real(detector: Detector, images: ImageSet, n: int, seed: int) -> Features:
    """Features of n real images (all, or a seeded subset), from the cache if possible."""
    n = min(n, len(images))
    what = f"{n:,} real images of {images.name}:{images.split}"

    def make() -> Arrays:
        batches = (take(images.images, rows) for rows in subset(len(images), n, seed))
        found = of_batches(detector, batches, n, what)
        return {
            "features": found.features,
            "probabilities": NONE if found.probabilities is None else found.probabilities,
        }

    arrays = kept("features", key(detector, images, n, seed), ("features", "probabilities"), what, make)
    probabilities = arrays["probabilities"]
    return Features(arrays["features"], probabilities if probabilities.size else None)


def key(detector: Detector, images: ImageSet, n: int, seed: int) -> str | None:
    """Cache key of features; None for a detector without a digest of its weights, whose features are never cached."""
    if detector.weights_sha256 is None:
        return None
    chosen = "all" if n >= len(images) else [n, seed]
    known = [detector.name, detector.weights_sha256, detector.protocol, dict(detector.versions)]
    return key_of([images.digest, form_of(images), chosen, *known], "detectors", *CHOICE)
