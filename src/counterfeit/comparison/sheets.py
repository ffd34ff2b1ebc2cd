"""The images of a run that are worth looking at, with one seed and the same real images and layout for all runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from counterfeit.data import ImageSet, binarize
from counterfeit.data.rows import take
from counterfeit.exploring.neighbors import Neighbors
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.run import Run
from counterfeit.runs.data import images_of
from counterfeit.sampling import labels_for

SEED = 0
COLUMNS, ROWS = 10, 5
LOOKED_AT = 1000  # samples, from which those nearest to training images are shown
MOST_CLASSES = 20

Grid = np.ndarray  # uint8 (N, C, H, W), row by row


class Sheets:
    """The images of each kind, and the number per row. Raises DataError if real images cannot be read."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def kinds(self) -> dict[str, Callable[[], tuple[Grid, int]]]:
        kinds: dict[str, Callable[[], tuple[Grid, int]]] = {
            "samples": lambda: (self.samples[: COLUMNS * ROWS], COLUMNS),
        }
        if isinstance(self.run.model, HasLatents):
            kinds["interpolation"] = self.between_noise
        if isinstance(self.run.model, HasLatents) and isinstance(self.run.model, Encodes):
            kinds["interpolation"] = self.between_images
        if isinstance(self.run.model, Encodes):
            kinds["reconstructions"] = self.reconstructions
        if self.run.model.classes and isinstance(self.run.model, HasLatents):
            kinds["classes"] = self.classes
        return kinds | {"nearest": self.nearest, "random": self.random, "real": self.real}

    @cached_property
    def samples(self) -> Grid:
        return self.run.sample(LOOKED_AT, seed=SEED)

    @cached_property
    def shown(self) -> tuple[Grid, np.ndarray | None]:
        """Real images to encode: two rows spread over the test set, and their labels for a conditional model.

        Adjacent images have the same class if the model is conditional, and mostly different classes otherwise.
        """
        data = _real(self.run, "test", "train")
        rows = np.linspace(0, len(data) - 1, 2 * COLUMNS).astype(int)
        if self.run.model.classes and data.labels is not None:
            of_class = [np.flatnonzero(data.labels == c)[:2] for c in range(self.run.model.classes)]
            pairs = [pair for pair in of_class if len(pair) == 2][:COLUMNS]
            rows = np.concatenate(pairs) if pairs else rows
        pixels = np.asarray(data.images[rows])
        if self.run.config.binarization != "none":
            pixels = binarize.fixed(data.images, data.split)[rows]
        return pixels, data.labels[rows] if self.run.model.classes and data.labels is not None else None

    def between_noise(self) -> tuple[Grid, int]:
        z = self.run.noise(2 * ROWS, seed=SEED)
        lines = self.run.interpolate(z[:ROWS], z[ROWS:], COLUMNS, labels_for(self.run.model, ROWS, None))
        return lines.reshape(-1, *lines.shape[2:]), COLUMNS

    def between_images(self) -> tuple[Grid, int]:
        """A real image, the interpolation from its encoding to that of another image, and that image."""
        pixels, labels = self.shown
        z = self.run.encode(pixels, labels)
        of_lines = None if labels is None else labels[::2]
        lines = self.run.interpolate(z[::2], z[1::2], COLUMNS - 2, of_lines)
        lines = np.concatenate([pixels[::2, None], lines, pixels[1::2, None]], axis=1)
        lines = lines[:: max(1, len(lines) // ROWS)][:ROWS]
        return lines.reshape(-1, *lines.shape[2:]), COLUMNS

    def reconstructions(self) -> tuple[Grid, int]:
        pixels, labels = self.shown
        return _in_pairs(pixels, self.run.reconstruct(pixels, labels))

    def classes(self) -> tuple[Grid, int]:
        k = min(self.run.model.classes, MOST_CLASSES)
        z = self.run.noise(ROWS, seed=SEED)
        return self.run.decode(z.repeat(k, axis=0), np.tile(np.arange(k), ROWS)), k

    @cached_property
    def neighbors(self) -> tuple[np.ndarray, np.ndarray, Grid]:
        """`Neighbors.ratios` of every sample, and its nearest training image."""
        train = _real(self.run, "train")
        ratio, rows = Neighbors(train, self.run.device).ratios(self.samples)
        return ratio, rows, take(train.images, rows)

    def nearest(self) -> tuple[Grid, int]:
        ratio, index, train = self.neighbors
        order = np.argsort(ratio, kind="stable")
        _, first = np.unique(index[order], return_index=True)  # the nearest sample of each training image
        others = np.setdiff1d(np.arange(len(order)), first)  # a collapsed model is near to few training images
        chosen = order[np.concatenate([np.sort(first), others])][:COLUMNS]
        return _in_pairs(self.samples[chosen], train[chosen])

    def real(self) -> tuple[Grid, int]:
        """Real images, spread over the test set if there is one."""
        data = _real(self.run, "test", "train")
        rows = np.linspace(0, len(data) - 1, COLUMNS * ROWS).astype(int)
        return np.asarray(data.images[rows]), COLUMNS

    def random(self) -> tuple[Grid, int]:
        _, _, train = self.neighbors
        return _in_pairs(self.samples[:COLUMNS], train[:COLUMNS])


def _in_pairs(upper: Grid, lower: Grid) -> tuple[Grid, int]:
    """Rows of `upper` with the same rows of `lower` below them, and their length; incomplete rows are dropped."""
    columns = min(COLUMNS, len(upper))
    starts = range(0, len(upper) - columns + 1, columns)
    return np.concatenate([part[i : i + columns] for i in starts for part in (upper, lower)]), columns


def _real(run: Run, *wanted: str) -> ImageSet:
    """The first available of these splits of the run's data. Raises DataError if the data is missing."""
    found = images_of(run.record, run.name)
    return next(found[split] for split in wanted if split in found)
