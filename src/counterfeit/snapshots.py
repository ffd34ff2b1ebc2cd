"""Pictures of a model in training, the same noise and the same images every time, so that epochs can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterfeit import generate, images
from counterfeit.models import Autoencoder, Family

RECONSTRUCTED = 40  # images, ten a row


def draw_samples(path: Path, model: Family, seed: int) -> None:
    """A grid of 64 samples; of a conditional model ten a class, a column each."""
    columns = model.classes or 8
    n = columns * (10 if model.classes else 8)
    (batch,) = generate.samples(model, n, seed, generate.labels_for(model, n, None), n)
    images.save_png(path, images.grid(batch, columns, scale=2))


def shown_of(n: int) -> np.ndarray:
    """Which of n images are reconstructed: spread over the set, which may be sorted."""
    return np.linspace(0, n - 1, RECONSTRUCTED).astype(int)


def draw_reconstructions(path: Path, model: Autoencoder, inputs: np.ndarray, labels: np.ndarray | None) -> None:
    """Rows in pairs: images, uint8 (N, C, H, W), over their reconstructions."""
    outputs, columns = generate.reconstruct(model, inputs, labels), 10
    rows = [part[i : i + columns] for i in range(0, len(inputs), columns) for part in (inputs, outputs)]
    images.save_png(path, images.grid(np.concatenate(rows), columns, scale=2))
