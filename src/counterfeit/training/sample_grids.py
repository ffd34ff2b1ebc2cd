"""Pictures of a model in training, the same noise and the same images every time, so that epochs can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterfeit import sampling
from counterfeit.data import pixels
from counterfeit.models import Sampling
from counterfeit.models.base import Encodes, Model

RECONSTRUCTED = 40  # images, ten a row


MOST_COLUMNS = 20  # of a grid: with more, images are no longer seen on a screen


def draw_samples(path: Path, model: Model, seed: int, options: Sampling) -> np.ndarray:
    """A grid of 64 samples, which are returned, uint8 (N, C, H, W); of a conditional model ten a class, a column each.

    Of one with more than MOST_COLUMNS classes it is one sample a class of 200, spread evenly over all, or of as many as
    there are.
    """
    columns, rows = min(model.classes or 8, MOST_COLUMNS), 10 if model.classes else 8
    n, labels = columns * rows, None
    if model.classes > MOST_COLUMNS:
        n = min(n, model.classes)
        labels = np.linspace(0, model.classes - 1, n).astype(int)
    (batch,) = sampling.samples(model, n, seed, sampling.labels_for(model, n, labels), n, options)
    pixels.save_png(path, pixels.grid(batch, columns, scale=2))
    return batch


def shown_of(n: int, shown: int = RECONSTRUCTED) -> np.ndarray:
    """Which of n images are shown: spread over the set, which may be sorted."""
    return np.linspace(0, n - 1, shown).astype(int)


def draw_reconstructions(path: Path, model: Encodes, inputs: np.ndarray, labels: np.ndarray | None) -> None:
    """Rows in pairs: images, uint8 (N, C, H, W), over their reconstructions."""
    outputs, columns = sampling.reconstruct(model, inputs, labels), 10
    rows = [part[i : i + columns] for i in range(0, len(inputs), columns) for part in (inputs, outputs)]
    pixels.save_png(path, pixels.grid(np.concatenate(rows), columns, scale=2))
