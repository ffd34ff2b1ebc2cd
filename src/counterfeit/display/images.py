"""Images as a figure."""

from __future__ import annotations

import numpy as np

from counterfeit.data import pixels
from counterfeit.system.drawing import Sheet, sheet
from counterfeit.system.text import harmless

INCHES = 6.0


def figure(images: np.ndarray, title: str, columns: int | None = None) -> Sheet:
    """uint8 (N, C, H, W) as a grid, row by row."""
    grid = pixels.grid(images, columns, scale=max(1, 64 // images.shape[-1]))
    height, width, channels = grid.shape
    with sheet(figsize=(INCHES, INCHES * height / width + 0.4), dpi=100, layout="constrained") as made:
        axes = made.subplots()
        shown = grid[:, :, 0] if channels == 1 else grid
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(harmless(title))
    return made
