"""Baselines: the value, with its spread, that real images get in place of generated ones. A perfect model would get it.

A metric that compares features takes the images from the other split of the same data. A metric that reads the
detector's class probabilities takes images that the detector was not trained on: the detector is more confident on its
training images, and no model could reach their value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from counterfeit.data import DATASETS, ImageSet
from counterfeit.detectors import DETECTORS, Detector, Features
from counterfeit.metrics import Inputs, Metric
from counterfeit.metrics.keep import Keep, computed
from counterfeit.metrics.per_class import LEAST
from counterfeit.scoring import features, receipt
from counterfeit.scoring.images import classes_of, subset, used
from counterfeit.scoring.kept import Arrays, kept, key_of
from counterfeit.scoring.score import Scored

SEED = 0  # of the draws, whatever the seed of a score: the baseline is the same for every model and every seed
MOST_DRAWS = 5
MOST_DRAWS_OF_LARGE = 3  # for Inception, which needs minutes for 10,000 images on a CPU


@dataclass(frozen=True)
class Baseline:
    """The value of a metric for real images.

    Attributes:
        value: the mean over the draws.
        std: spread of the value of one draw: the standard deviation (ddof 1) over the draws; for a single draw the
            metric's own ±, or None.
        draws: number of sets of real images.
        notes: a sentence if there are fewer real images than generated ones.
    """

    value: float
    std: float | None
    draws: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: np.ndarray, notes: tuple[str, ...]) -> Baseline:
        """Make a baseline from the value of every draw and its own ±, (draws, 2), NaN if there is no ±."""
        values, own = found.T
        if len(values) > 1:
            return cls(float(values.mean()), float(values.std(ddof=1)), len(values), notes)
        return cls(float(values[0]), None if np.isnan(own[0]) else float(own[0]), 1, notes)

    def beside(self, scored: Scored) -> Scored:
        """Add this baseline to the score of generated images."""
        notes = scored.notes + self.notes
        return replace(scored, floor=self.value, floor_std=self.std, floor_draws=self.draws, notes=notes)


def fewer(n: int, asked: int, rest: int | None = None, unseen: bool = False) -> tuple[str, ...]:
    """A sentence if the baseline is measured on n images, fewer than `asked`, the number of generated images.

    Args:
        rest: number of images they are compared with, if that is not the whole real set.
        unseen: whether the reason is a lack of images that the detector was not trained on.
    """
    if n >= asked:
        return ()
    against = "" if rest is None else f" against {rest:,}"
    others = "that the detector was not trained on" if unseen else "to spare"
    return (
        f"the value of real images beside it is of {n:,} images{against}, not of {asked:,}: there are no more {others}",
    )


@dataclass(frozen=True)
class StandIns:
    """Draws of real images that take the place of generated ones; the draws are disjoint unless `apart`.

    Attributes:
        images: the set to draw from.
        size: how many of these images to draw from: all, or for the real set, those that are used for comparison.
        n: images per draw.
        draws: number of draws.
        apart: whether the draws come from the real set itself, so that each draw is compared with the rest of the set.
            Every draw then splits the set in a new way: given the set, such draws are independent, and disjoint halves
            are not.
    """

    images: ImageSet
    size: int
    n: int
    draws: int
    apart: bool = False

    @cached_property
    def within(self) -> np.ndarray:
        """Row numbers to draw from, ascending."""
        return np.concatenate(list(subset(len(self.images), self.size, 0)))

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Row numbers of every draw, ascending; the first draw is the same choice as that of `subset`."""
        if self.apart:
            parted = [np.random.default_rng([SEED, i]).permutation(self.size)[: self.n] for i in range(self.draws)]
        else:
            order = np.random.default_rng(SEED).permutation(self.size)
            parted = [order[i * self.n : (i + 1) * self.n] for i in range(self.draws)]
        return [self.within[np.sort(rows)] for rows in parted]

    def to_dict(self) -> dict[str, Any]:
        """This as a part of the receipt."""
        return {**(receipt.of_floor(self.images, self.n, SEED) or {}), "draws": self.draws}


def has_seen(detector: Detector, images: ImageSet) -> bool:
    """Whether the detector was trained on these images: a small detector was, on the training split of its data set.

    Images held out from a data set without a test split come from its training images, whatever the name of the split.
    """
    known = knows_classes(detector, images)
    return known and (images.split == "train" or images.split not in DATASETS[images.dataset].splits)


def knows_classes(detector: Detector, images: ImageSet) -> bool:
    """Whether the detector is a classifier for the classes of these images."""
    return detector.name in DETECTORS and images.dataset in DETECTORS[detector.name].data


def tells_apart(detector: Detector, classes: Sequence[str]) -> bool:
    """Whether the detector is a classifier whose classes have these names, in this order."""
    known = DETECTORS[detector.name].data if detector.name in DETECTORS else ()
    return any(DATASETS[name].classes == tuple(classes) for name in known)


@dataclass(frozen=True)
class Baselines:
    """The baselines of a scorer; each is computed once and cached.

    Attributes:
        detector: computes the features.
        real: the images that generated images are compared with.
        other: another split of the same data, or None.
        of_real: computes the features of a whole real set (of `used` images).
        known: features of whole sets that are in memory, by digest.
        keep: asked for what depends on the real images alone, the same for all draws from `other`.
    """

    detector: Detector
    real: ImageSet
    other: ImageSet | None
    of_real: Callable[[ImageSet], Features]
    known: Mapping[str, Features]
    keep: Keep = computed

    def of(self, wanted: Mapping[str, Metric], n: int) -> dict[str, Baseline]:
        """Baselines by label for n generated images, for the metrics that have a baseline."""
        groups: dict[tuple[str, bool], tuple[StandIns, dict[str, Metric]]] = {}
        for name, metric in wanted.items():
            stand = self.stand_ins(metric, n)
            if stand is not None:
                groups.setdefault((stand.images.digest, stand.apart), (stand, {}))[1][name] = metric
        found: dict[str, Baseline] = {}
        for stand, metrics in groups.values():
            rest = stand.size - stand.n if stand.apart else None
            for name, arrays in self._kept(stand, metrics).items():
                notes = fewer(stand.n, n, rest, unseen=metrics[name].judges_classes)
                found |= {label: Baseline.of(arrays[label], notes) for label in metrics[name].labels}
        return found

    def receipt(self, n: int) -> dict[str, Any]:
        """Which images the baselines are computed from: those for features, and those for class probabilities."""
        sources = {"floor": _enough(self.other), "floor_of_classes": self._unseen()}
        return {name: source and self._drawn(source, n).to_dict() for name, source in sources.items()}

    def stand_ins(self, metric: Metric, n: int) -> StandIns | None:
        """The real images for a metric's baseline; None if there are none."""
        if "train" in metric.needs:  # these report the test set's own value beside the model's
            return None
        source = self._unseen() if metric.judges_classes else _enough(self.other)
        if source is None:
            return None
        if "labels" in metric.needs and (source.labels is None or not knows_classes(self.detector, source)):
            return None
        drawn = self._drawn(source, n, apart=source is self.real and metric.compares)
        return drawn if "fake_classes" not in metric.needs or self._of_all_classes(drawn) else None

    def _of_all_classes(self, stand: StandIns) -> bool:
        """Whether every draw has at least LEAST images of each class of the real images."""
        real, labels = classes_of(self.real), stand.images.labels
        if real is None or labels is None or stand.images.classes != self.real.classes:
            return False
        counts = (np.bincount(labels[rows], minlength=len(self.real.classes)) for rows in stand.rows)
        return all((of[np.unique(real)] >= LEAST).all() for of in counts)

    def _unseen(self) -> ImageSet | None:
        """Images that the detector was not trained on: the other split, which allows more draws, or the real set."""
        both = (_enough(self.other), _enough(self.real))
        return next((one for one in both if one is not None and not has_seen(self.detector, one)), None)

    def _drawn(self, source: ImageSet, n: int, apart: bool = False) -> StandIns:
        size = used(source) if source is self.real else len(source)
        n = min(n, size // 2 if apart else size)
        if self.detector.weights_sha256 is None:  # nothing computed with it can be cached
            most = 1
        else:
            most = MOST_DRAWS if self.detector.quick else MOST_DRAWS_OF_LARGE
        return StandIns(source, size, n, most if apart else min(most, size // n), apart)

    def _kept(self, stand: StandIns, metrics: Mapping[str, Metric]) -> dict[str, Arrays]:
        """Value and ± of every draw, (draws, 2), by label, for every metric; cached."""
        keys = [
            features.key(self.detector, self.real, used(self.real), 0),
            features.key(self.detector, stand.images, stand.n * stand.draws, SEED),
        ]
        parted = None if stand.n == stand.size else SEED  # also if all draws together use the whole set
        missing: dict[str, np.ndarray] = {}

        def make(name: str) -> Arrays:
            if not missing:  # the first one not cached: compute all at once, since they share distances
                missing.update(self._computed(stand, list(metrics.values())))
            return {label: missing[label] for label in metrics[name].labels}

        def get(name: str) -> Arrays:
            facts = [name, *keys, "disjoint draws", stand.n, stand.draws, stand.apart, parted]
            key = None if None in keys else key_of(facts, "metrics", "scoring/baselines.py")
            return kept("floors", key, metrics[name].labels, f"real images' {name}", partial(make, name))

        return {name: get(name) for name in metrics}

    def _computed(self, stand: StandIns, metrics: Sequence[Metric]) -> dict[str, np.ndarray]:
        """Value and ± of every draw, (draws, 2), by label."""
        found, held = self._looked_at(stand)
        values: dict[str, list[tuple[float, float]]] = {label: [] for metric in metrics for label in metric.labels}
        for rows in stand.rows:
            there = np.isin(held, rows, assume_unique=True)
            fake, real = _part(found, there), _part(found, ~there) if stand.apart else self.of_real(self.real)
            labels = None if stand.images.labels is None else stand.images.labels[rows]
            inputs = Inputs(real.features, fake.features, fake.probabilities, real.probabilities, labels)
            if not stand.apart:
                inputs = replace(inputs, real_classes=classes_of(self.real), fake_classes=labels, keep=self.keep)
            for metric in metrics:
                for label, value in metric.compute(inputs).items():
                    values[label].append((value.value, np.nan if value.uncertainty is None else value.uncertainty))
        return {label: np.array(pairs) for label, pairs in values.items()}

    def _looked_at(self, stand: StandIns) -> tuple[Features, np.ndarray]:
        """Features of images that include all draws, and the row numbers of these images, ascending."""
        whole = self.known.get(stand.images.digest)
        if stand.images is self.real or (whole is not None and len(whole.features) == stand.size):
            return self.of_real(stand.images), stand.within
        n = stand.n * stand.draws
        return features.of_real(self.detector, stand.images, n, SEED), np.sort(np.concatenate(stand.rows))


def _enough(images: ImageSet | None) -> ImageSet | None:
    """The images, or None if there are fewer than 4: a metric compares two sets of at least 2."""
    return None if images is None or len(images) < 4 else images


def _part(found: Features, chosen: np.ndarray) -> Features:
    """The rows that a mask selects."""
    return Features(found.features[chosen], None if found.probabilities is None else found.probabilities[chosen])
