"""Score generated images against a file of statistics instead of real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from counterfeit.data import ImageSet
from counterfeit.detectors import Detector, Features
from counterfeit.errors import InputError
from counterfeit.metrics import METRICS, Metric, Value
from counterfeit.scoring.images import Images, at_size, check_form, in_words
from counterfeit.scoring.scorer import Scorer
from counterfeit.scoring.statistics import Statistics
from counterfeit.settings import ScoreConfig
from counterfeit.system.distributed import Group
from counterfeit.system.sides import spelled

SEEN_BY_INCEPTION = (3, 299, 299)


class StatisticsScorer(Scorer):
    """Scores generated images against statistics, with the metrics for which these are enough: FID.

    Attributes:
        statistics: statistics of the real images; `real` takes their place as a set without images.
    """

    def __init__(self, detector: Detector, statistics: Statistics, group: Group) -> None:
        statistics.check(detector)
        none = np.zeros((0, *(statistics.shape or SEEN_BY_INCEPTION)), np.uint8)
        real = ImageSet(str(statistics.path), "statistics", none, None, (), statistics.sha256)
        super().__init__(detector, real, group=group)
        self.statistics, self._moments = statistics, statistics.moments()

    def names(self, asked: Sequence[str] | None) -> list[str]:
        """The requested metrics, by default all possible ones. Raises InputError for a metric that needs images."""
        possible = [name for name, metric in METRICS.items() if metric.from_moments is not None]
        for name in asked or ():
            if name not in possible:
                raise InputError(
                    f"{self.statistics.path} contains only mu and sigma, and {name} needs real images: "
                    f"pass --metrics {','.join(possible)}, or pass images with --real"
                )
        return list(asked or possible)

    def images(self, source: Any, config: ScoreConfig) -> Images:
        """Prepare what is scored: a loaded set, a function, or `Images`.

        Raises InputError if the statistics are known to be of images of another form. If their form is unknown, images
        go to the detector in their own size, or in that of `config.size`.
        """
        any_size, known = self.detector.any_size, self.statistics.shape is not None
        if isinstance(source, Images):
            fakes = source.at_size(config.size)
            if known and fakes.shape is not None:
                self._check_size(fakes.name, fakes.shape)
                check_form(fakes.name, fakes.shape, self.real, any_size)
            return fakes
        if known:
            if not callable(source):
                self._check_size(source.name, source.shape)
            return Images.of(source, self.real, config.skip_bad, config.size, any_size)
        if callable(source):
            return Images.of_callable(source, lambda images: at_size(images, config.size))
        return Images.of_set(source)

    def _check_size(self, name: str, shape: tuple[int, int, int]) -> None:
        """Raise InputError if images (C, H, W) have another size: only they can be resized, the statistics cannot."""
        _, height, width = self.real.shape
        if self.detector.any_size or shape[1:] == (height, width):
            return
        raise InputError(
            f"{name} has images of {in_words(shape)} and {self.real.name} holds statistics of {height}x{width}: "
            f"pass --size {spelled(height, width)}"
        )

    def measured(self, fakes: Images, n: int, seed: int, repeats: int) -> dict[str, Any]:
        return {**super().measured(fakes, n, seed, repeats), "real": self.statistics.to_dict()}

    def _values(
        self,
        wanted: Mapping[str, Metric],
        found: Features | None,
        labels: np.ndarray | None,
        small: np.ndarray | None = None,
        classes: np.ndarray | None = None,
    ) -> dict[str, Value]:
        assert found is not None
        values: dict[str, Value] = {}
        for metric in wanted.values():
            assert metric.from_moments is not None
            values |= metric.from_moments(self._moments, found.features)
        return {label: replace(value, notes=value.notes + self._notes()) for label, value in values.items()}

    def _notes(self) -> tuple[str, ...]:
        if "detector" in self.statistics.words:
            return ()
        return (
            f"{self.statistics.path} does not say which detector and resize its statistics are of: "
            f"they are taken for {self.detector.name}'s ({self.detector.protocol})",
        )
