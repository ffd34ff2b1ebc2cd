"""The training images that are nearest to other images, in the features of the small detector that suits the data."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterfeit.data import ImageSet
from counterfeit.metrics.distances import nearest, squared_distances
from counterfeit.metrics.memorization import PIXEL_RATIO
from counterfeit.metrics.value import Floats, as_features, as_pair
from counterfeit.scoring import features, judge
from counterfeit.scoring.copies import Gallery, shrunk
from counterfeit.scoring.images import subset, used
from counterfeit.system.console import say


class Nearest(NamedTuple):
    """The training images nearest to each of N images, the nearest first.

    Attributes:
        rows: which they are among the training images, int (N, K).
        distances: in the space of the features, float64 (N, K).
    """

    rows: NDArray[np.intp]
    distances: NDArray[np.float64]


class Neighbors:
    """Training images prepared for the search of the nearest; of a large set, a random subset.

    Attributes:
        train: the training images.
    """

    def __init__(self, train: ImageSet, device: str = "cpu") -> None:
        self.train = train
        self.detector = judge.small_scorer(train, device).detector
        if used(train) < len(train):
            some = f"{used(train):,} of its {len(train):,} images, a random subset"
            say(f"{train.name}: nearest images are searched in {some}")
        self.features = features.of_real(self.detector, train, used(train), 0).features
        self.rows = np.concatenate(list(subset(len(train), used(train), 0)))

    @cached_property
    def _wide(self) -> Floats:
        return as_features(self.features, "training", least=1)

    def nearest(self, images: np.ndarray, k: int) -> Nearest:
        """The k nearest training images to each image, uint8 (N, C, H, W), or all where there are fewer."""
        of_images = as_features(self.detector(images).features, "generated", least=1)
        of_train = self._wide
        k = min(k, len(of_train))
        parts = []
        for _, square in squared_distances(of_images, of_train):
            some = np.argpartition(square, k - 1, axis=1)[:, :k]
            order = np.argsort(np.take_along_axis(square, some, axis=1), axis=1, kind="stable")
            index = np.take_along_axis(some, order, axis=1)
            parts.append((index, np.sqrt(np.take_along_axis(square, index, axis=1))))
        index, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Nearest(self.rows[index], distance)

    def ratios(self, images: np.ndarray) -> tuple[np.ndarray, NDArray[np.intp]]:
        """The distance ratio of every image (N,), and the row of its nearest training image (N,).

        As in `metrics.memorization.near_copies`, the ratio is the distance to the nearest training image divided by the
        distance from that image to its nearest other one: simple images are close to each other, and a copy is closer
        than that. If the pixels show a copy, possibly mirrored or shifted, its source counts as the nearest image.
        """
        of_images, of_train = as_pair(self.detector(images).features, self.features)
        distance, index = nearest(of_images, of_train)
        rows, place = np.unique(index, return_inverse=True)
        local, _ = nearest(of_train[rows], of_train, but=rows)
        ratio = distance / np.maximum(local[place], np.finfo(np.float64).tiny)  # near duplicates: huge, or 0 for a copy
        found = Gallery(self.train).search(shrunk(images))
        copied = found.ratio <= PIXEL_RATIO
        rows = np.where(copied, found.index, self.rows[index])
        return np.where(copied, np.minimum(ratio, found.ratio), ratio), rows
