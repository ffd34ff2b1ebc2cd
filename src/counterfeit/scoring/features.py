"""Features of images; those of real images are kept in the cache.

The key of a cached file covers everything that decides its content: the digest of the images, which of them, the
detector's name, weights and protocol, and the form of the file. A change of any of these finds no stale file.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from counterfeit.console import progress
from counterfeit.data import ImageSet, cache_dir
from counterfeit.data.cache import locked
from counterfeit.detectors import Detector, Features
from counterfeit.files import write_atomic
from counterfeit.scoring.images import subset

FORM = 1  # of the cached file and of the features: a change of a detector's arithmetic needs a new number


def of_batches(detector: Detector, batches: Iterator[np.ndarray], n: int, what: str) -> Features:
    """Features of n images that come in batches; progress is shown on stderr, under `what` where that is not empty."""
    with progress(f"{detector.name}: {what}", n) if what else nullcontext() as advance:
        found = [detector(batch, advance) for batch in batches]
    probabilities = [f.probabilities for f in found if f.probabilities is not None]
    return Features(
        np.concatenate([f.features for f in found]), np.concatenate(probabilities) if probabilities else None
    )


def of_real(detector: Detector, images: ImageSet, n: int, seed: int) -> Features:
    """Features of n real images (all, or a seeded subset), from the cache where they were computed before.

    A detector without a digest of its weights (a callable of the user's) is asked every time.
    """
    n = min(n, len(images))
    batches = (np.asarray(images.images[rows]) for rows in subset(len(images), n, seed))
    what = f"{n:,} real images of {images.name}:{images.split}"
    if detector.weights_sha256 is None:
        return of_batches(detector, batches, n, what)
    path = cache_dir() / "features" / f"{key(detector, images, n, seed)}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), str(path)):
        cached = _read(path)
        if cached is None:
            cached = of_batches(detector, batches, n, what)
            _write(path, cached)
    return cached


def key(detector: Detector, images: ImageSet, n: int, seed: int) -> str:
    """The identity of features: hex."""
    chosen = "all" if n >= len(images) else [n, seed]
    facts = [FORM, images.digest, chosen, detector.name, detector.weights_sha256, detector.protocol]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _write(path: Path, found: Features) -> None:
    buffer = io.BytesIO()
    probabilities = np.zeros((0, 0), np.float32) if found.probabilities is None else found.probabilities
    np.savez(buffer, features=found.features, probabilities=probabilities)
    write_atomic(path, buffer.getvalue())


def _read(path: Path) -> Features | None:
    """What the file holds; None where there is none, or where it is damaged and is to be made again."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            features, probabilities = file["features"], file["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Features(features, probabilities if probabilities.size else None)
