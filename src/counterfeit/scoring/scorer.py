"""Real images and a detector, ready to score any number of generators against."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from counterfeit.data import ImageSet
from counterfeit.detectors import Detector, Features, probed
from counterfeit.errors import InputError
from counterfeit.metrics import METRICS, Inputs, Metric, Value
from counterfeit.metrics.keep import Sets, T
from counterfeit.metrics.memorization import Matches
from counterfeit.scoring import features, receipt
from counterfeit.scoring.baselines import Baseline, Baselines, knows_classes
from counterfeit.scoring.classes import in_terms_of
from counterfeit.scoring.copies import Gallery, Seen, of_test
from counterfeit.scoring.images import Images, classes_of, used
from counterfeit.scoring.kept import Arrays, kept, key_of
from counterfeit.scoring.score import Score, Scored
from counterfeit.system.console import say
from counterfeit.system.distributed import ALONE, Group

FEW_FOR_FID = 2000  # with fewer images, FID's upward bias is larger than most differences of interest


class Scorer:
    """Scores generated images against one set of real images with one detector.

    Attributes:
        real: the images to compare with.
        other: another split of the same data, for the baseline; None if there is none.
        train: the images that the generator was trained on, for memorization; None if unknown.
        quiet: show no progress while computing features of the generated images.
        group: the processes that compute the features together; the first one computes the metrics.
        probe: digest of the features of fixed images, for a user's own detector; None for a named one.
    """

    def __init__(
        self,
        detector: Detector,
        real: ImageSet,
        other: ImageSet | None = None,
        train: ImageSet | None = None,
        quiet: bool = False,
        group: Group = ALONE,
    ) -> None:
        self.quiet, self.group = quiet, group
        self.detector, self.real, self.other, self.train = detector, real, other, train
        self.probe = probed(detector, real.shape) if detector.custom else None
        self._found: dict[str, Features] = {}
        self._known: dict[tuple[str, Sets], Any] = {}
        self._baselines = Baselines(detector, real, other, self._of_real, self._found, self._keep)

    def score(self, fakes: Images, metrics: Sequence[str], n: int, seed: int = 0, repeats: int = 1) -> Score:
        """Draw n images `repeats` times, compute their features once per draw, and apply the metrics.

        With repeats > 1 the value is the mean over independent draws, and the uncertainty their standard deviation.

        Raises:
            InputError: a metric is unknown or lacks what it needs, or there are too few images.
        """
        begun = time.perf_counter()
        wanted = {name: METRICS[name] for name in metrics}
        n = self.group.everyone(partial(usable, fakes, n, repeats))
        draws = []
        seen = Seen(fakes, self.train) if self.train is not None and "near-copies" in wanted else None
        for s in range(seed, seed + repeats):
            what = "" if self.quiet else f"{n:,} images of {fakes.name}"
            found = features.of_generated(self.detector, seen.images if seen else fakes, n, s, what, self.group)
            small = seen.gathered(n, self.group) if seen else None
            classes = self._classes(wanted, fakes, n, s)
            draws.append(self.group.by_first(partial(self._values, wanted, found, fakes.labels(n), small, classes)))
        values = draws[0] if repeats == 1 else over_repeats(draws)
        floors = self.group.by_first(partial(self._baselines.of, wanted, n))
        scored = {
            f"{label}[{self.detector.name}]": _scored(
                metric, self._noted(metric, values[label]), floors.get(label), label, n
            )
            for metric in wanted.values()
            for label in metric.labels
        }
        made = {**self.measured(fakes, n, seed, repeats), **receipt.made_here(self.detector.device)}
        return Score(scored, {**made, "seconds": round(time.perf_counter() - begun, 2)})

    def _noted(self, metric: Metric, value: Value) -> Value:
        """Add a note if labels are treated as the detector's classes but may mean others."""
        if "labels" not in metric.needs or knows_classes(self.detector, self.real):
            return value
        unknown = (
            f"label 0 is taken for the class 0 of {self.detector.name}, and so on: of {self.real.name} it is not known "
            "that these are its classes; counterfeit cas learns any classes"
        )
        return replace(value, notes=(*value.notes, unknown))

    def _of_real(self, images: ImageSet) -> Features:
        """Features of a real set, computed or read from the cache once. Raises InputError if they are all the same."""
        if images.digest not in self._found:
            found = features.of_real(self.detector, images, used(images), 0)
            if (found.features == found.features[0]).all():
                raise InputError(
                    f"detector {self.detector.name} gives the same features for all {len(found.features):,} images of "
                    f"{images.name}, so every distance would be 0: check the detector and the images"
                )
            self._found[images.digest] = found
        return self._found[images.digest]

    def _values(
        self,
        wanted: Mapping[str, Metric],
        found: Features | None,
        labels: np.ndarray | None,
        small: np.ndarray | None = None,
        classes: np.ndarray | None = None,
    ) -> dict[str, Value]:
        assert found is not None
        real = self._of_real(self.real)
        inputs = Inputs(
            real.features.astype(np.float64, copy=False),  # once for all metrics
            found.features.astype(np.float64, copy=False),
            found.probabilities,
            real.probabilities,
            labels,
            classes_of(self.real),
            classes,
            keep=self._keep,
        )
        if self.train is not None and any("train" in metric.needs for metric in wanted.values()):
            inputs = replace(inputs, train=self._of_real(self.train).features)
            if small is not None:
                inputs = replace(inputs, matches=(self._matches, self._gallery.search(small)))
        return {label: value for metric in wanted.values() for label, value in metric.compute(inputs).items()}

    def _classes(self, wanted: Mapping[str, Metric], fakes: Images, n: int, seed: int) -> np.ndarray | None:
        """The classes of a draw of generated images, as the real images' are numbered; None if no metric needs them."""
        if fakes.known is None or not any("fake_classes" in metric.needs for metric in wanted.values()):
            return None
        return in_terms_of(self.real.classes, fakes.known.labels(n, seed), fakes.known.names, fakes.name)

    def _keep(self, what: str, of: Sets, kind: type[T], make: Callable[[], T]) -> T:
        """What `make` computes from the features of these images: known since an earlier time, cached, or new."""
        if (what, of) not in self._known:
            sets = {"real": self.real, "train": self.train}
            images = [one for one in map(sets.__getitem__, of) if one is not None]
            assert len(images) == len(of)
            keys = [features.key(self.detector, one, used(one), 0) for one in images]
            key = None if None in keys else key_of([what, *keys], "metrics")
            said = f"{what}, of {' and '.join(f'{used(one):,} of {one.name}' for one in images)}"

            def told() -> Arrays:
                if self.train in images:  # takes seconds
                    say(f"{self.detector.name}: {said}")
                return vars(make())

            names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
            self._known[what, of] = kind(**kept("known", key, names, said, told))
        return self._known[what, of]

    @cached_property
    def _gallery(self) -> Gallery:
        """The training images, prepared for the search for copies among the generated images."""
        assert self.train is not None
        return Gallery(self.train)

    @cached_property
    def _matches(self) -> Matches:
        """Result of the same search for the test images."""
        assert self.train is not None
        return of_test(self.real, lambda: self._gallery, self.train)

    def measured(self, fakes: Images, n: int, seed: int, repeats: int) -> dict[str, Any]:
        """The receipt without its circumstances; it is known before the work starts."""
        made = {
            "generated": receipt.of_images(fakes, n, seed, repeats),
            "real": receipt.of_real(self.real),
            **self._baselines.receipt(n),
            "train": receipt.of_bounded(self.train),
            "detector": receipt.of_detector(self.detector, self.probe),
            **receipt.of_code(receipt.scoring_of(fakes), self.detector.versions),
        }
        unknown = receipt.unidentified(made)
        return {**made, "unidentified": unknown} if unknown else made


def usable(fakes: Images, n: int, repeats: int) -> int:
    """How many images to score: n, or all if there are fewer. Raises InputError for a single image."""
    if fakes.most is None:
        return n
    if repeats > 1:
        raise InputError(f"--repeats needs a generator, and {fakes.name} is a fixed set of images")
    if fakes.most < 2:
        raise InputError(f"{fakes.name} has 1 image; a score needs at least 2, and thousands to be reliable")
    if fakes.most < n:
        say(f"{fakes.name} has {fakes.most:,} images: all of them are scored, not {n:,}")
    return min(n, fakes.most)


def over_repeats(draws: list[dict[str, Value]]) -> dict[str, Value]:
    """Mean and standard deviation (ddof 1) over independent draws, all compared with the same real images.

    `extras["standard_error"]` is the standard error of the mean from the sampling of both sets, if the draws' parts of
    it are known. If all draws are equal, such as shares of 0, they get the standard error of one draw: it is never 0
    for a share.
    """
    kind = f"standard deviation over {len(draws)} independent draws, whose mean is the value, the real images fixed"
    equal = f"standard error of one draw; all of {len(draws)} independent draws gave the same value"
    merged = {}
    for label, first in draws[0].items():
        values = np.array([draw[label].value for draw in draws])
        extras = {f"draw_{i}": float(value) for i, value in enumerate(values)}
        spread = float(values.std(ddof=1))
        of_real = [part for part in (of_real_alone(draw[label]) for draw in draws) if part is not None]
        if len(of_real) == len(draws):
            extras["standard_error"] = float(np.sqrt(np.mean(of_real) + spread**2 / len(values)))
        shown = (spread, kind) if spread > 0 else (first.uncertainty, equal)
        merged[label] = Value(float(values.mean()), *shown, extras, first.notes)
    return merged


def of_real_alone(value: Value) -> float | None:
    """The variance that remains with infinitely many generated images; None if the real images' part is unknown."""
    real, fake = (value.extras.get(f"standard_error_{name}") for name in ("real", "fake"))
    if real is None or value.uncertainty is None or fake is None:
        return None if real is None else real**2
    return max(0.0, value.uncertainty**2 - fake**2)


def _scored(metric: Metric, value: Value, floor: Baseline | None, label: str, n: int) -> Scored:
    notes = value.notes
    if label == "FID" and n < FEW_FOR_FID:
        notes += (f"{n:,} images are few, and FID is biased upward: compare at equal n only, or read FID-infinity",)
    extras = dict(value.extras)
    scored = Scored(value.value, value.uncertainty, value.uncertainty_kind, None, metric.better, extras, notes)
    return scored if floor is None else floor.beside(scored)
