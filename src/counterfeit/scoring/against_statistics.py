"""Generated images against a file of statistics, in place of real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit import data as datasets
from counterfeit import paths
from counterfeit.config import ScoreConfig
from counterfeit.data import ImageSet
from counterfeit.data.picture import EXTENSIONS, BadPicture, examine
from counterfeit.detectors import Detector, Features
from counterfeit.errors import InputError
from counterfeit.metrics import METRICS, Metric, Value
from counterfeit.processes import Group
from counterfeit.scoring.images import Images, check_form
from counterfeit.scoring.scorer import Scorer
from counterfeit.scoring.statistics import Statistics

SEEN_BY_INCEPTION = (3, 299, 299)


class StatisticsScorer(Scorer):
    """Scores generated images against statistics by the metrics that need no more: FID.

    Attributes:
        statistics: of the real images; `real` stands for these and holds none.
    """

    def __init__(self, detector: Detector, statistics: Statistics, group: Group) -> None:
        statistics.check(detector)
        none = np.zeros((0, *(statistics.shape or SEEN_BY_INCEPTION)), np.uint8)
        real = ImageSet(str(statistics.path), "statistics", none, None, (), statistics.sha256)
        super().__init__(detector, real, group=group)
        self.statistics, self._moments = statistics, statistics.moments()

    def names(self, asked: Sequence[str] | None) -> list[str]:
        """The metrics that are asked for, or all that are possible. InputError for one that needs images."""
        possible = [name for name, metric in METRICS.items() if metric.from_moments is not None]
        for name in asked or ():
            if name not in possible:
                raise InputError(
                    f"{self.statistics.path} holds mu and sigma only, and {name} needs real images: "
                    f"ask for --metrics {','.join(possible)}, or name images by --real"
                )
        return list(asked or possible)

    def images(self, source: Any, config: ScoreConfig) -> Images:
        """What is scored. InputError where the statistics are known to be of images of another form."""
        known = self.statistics.shape is not None
        if isinstance(source, Images):
            if known and source.shape is not None:
                check_form(source.name, source.shape, self.real)
            return source
        if known or callable(source):
            return Images.of(source, self.real, config.skip_bad)
        if datasets.locate(source).kind == "folder":
            side = own_side(Path(paths.typed(source)))
            return Images.of_set(datasets.load(source, size=side, skip_bad=config.skip_bad))
        return Images.of_set(datasets.load(source))

    def against(self, n: int, seed: int) -> dict[str, Any]:
        return {**super().against(n, seed), "real": self.statistics.to_dict()}

    def _values(
        self, wanted: Mapping[str, Metric], found: Features | None, labels: np.ndarray | None
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


def own_side(folder: Path) -> int | None:
    """The side of a folder's images, which go to the detector as they are. InputError where they differ."""
    sides = set()
    for path in folder.rglob("*"):
        if path.suffix.lower() in EXTENSIONS:
            try:
                sides.add(examine(path.read_bytes()).side)
            except (BadPicture, OSError):
                continue  # `load` says which, or leaves it out
    if len(sides) > 1:
        raise InputError(
            f"{folder} has images with sides of {min(sides)} to {max(sides)} pixels, and the statistics do not say of "
            "which: bring them to one size first"
        )
    return next(iter(sides), None)
