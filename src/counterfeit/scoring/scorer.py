"""Real images and a detector, ready to score any number of generators against."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.console import say
from counterfeit.data import ImageSet, cache_dir
from counterfeit.detectors import Detector, Features
from counterfeit.errors import InputError
from counterfeit.files import write_json
from counterfeit.metrics import METRICS, Inputs, Metric, Value
from counterfeit.runs.provenance import provenance
from counterfeit.scoring import features
from counterfeit.scoring.images import Images, subset
from counterfeit.scoring.score import Score, Scored
from counterfeit.version import __version__

FEW_FOR_FID = 2000  # below this many images FID's upward bias is larger than most differences that one wants to see


class Scorer:
    """Scores generated images against one set of real images with one detector.

    Attributes:
        real: the images to compare with.
        other: another split of the same data, from which the floor is drawn; None where there is none.
        train: the images that the generator was trained on, for memorisation; None where they are not known.
        quiet: show no progress while the generated images are looked at.
    """

    def __init__(
        self,
        detector: Detector,
        real: ImageSet,
        other: ImageSet | None = None,
        train: ImageSet | None = None,
        quiet: bool = False,
    ) -> None:
        self.quiet = quiet
        self.detector, self.real, self.other, self.train = detector, real, other, train
        self._found: dict[str, Features] = {}

    def score(self, fakes: Images, metrics: Sequence[str], n: int, seed: int = 0, repeats: int = 1) -> Score:
        """Draw n images `repeats` times, take their features once a draw, and apply the metrics.

        With repeats > 1 the value is the mean over independent draws, and the uncertainty their standard deviation.

        Raises:
            InputError: a metric is unknown or lacks what it needs, or there are too few images.
        """
        begun = time.perf_counter()
        wanted = {name: METRICS[name] for name in metrics}
        n = usable(fakes, n, repeats)
        draws = []
        for s in range(seed, seed + repeats):
            what = "" if self.quiet else f"{n:,} images of {fakes.name}"
            found = features.of_batches(self.detector, fakes.draw(n, s), n, what)
            draws.append(self._values(wanted, found, fakes.labels(n)))
        values = draws[0] if repeats == 1 else over_repeats(draws)
        floors = self._floors(wanted, n, seed)
        scored = {
            f"{label}[{self.detector.name}]": _scored(metric, values[label], floors.get(label), label, n)
            for metric in wanted.values()
            for label in metric.labels
        }
        receipt = self._receipt(fakes, n, seed, repeats)
        return Score(scored, {**receipt, "seconds": round(time.perf_counter() - begun, 2)})

    def _real_features(self, images: ImageSet) -> np.ndarray:
        """Of all images of a real set, computed or read from the cache once."""
        if images.digest not in self._found:
            self._found[images.digest] = features.of_real(self.detector, images, len(images), 0)
        return self._found[images.digest].features

    def _values(self, wanted: Mapping[str, Metric], found: Features, labels: np.ndarray | None) -> dict[str, Value]:
        needs_train = any("train" in metric.needs for metric in wanted.values())
        train = self._real_features(self.train) if needs_train and self.train is not None else None
        inputs = Inputs(self._real_features(self.real), found.features, found.probabilities, labels, train)
        return {label: value for metric in wanted.values() for label, value in metric.compute(inputs).items()}

    def _floors(self, wanted: Mapping[str, Metric], n: int, seed: int) -> dict[str, float]:
        """Each label's value for n real images of the other split, as if a generator had made them; cached.

        The metrics of memorisation carry the test set's own value instead.
        """
        plain = {name: metric for name, metric in wanted.items() if "train" not in metric.needs}
        if self.other is None:
            return {}
        n = min(n, len(self.other))
        floors: dict[str, float] = {}
        for name, metric in plain.items():
            path = self._floor_file(name, n, seed)
            known = _read(path) if path else None
            if known is None:
                found = features.of_real(self.detector, self.other, n, seed)
                rows = np.concatenate(list(subset(len(self.other), n, seed)))
                labels = None if self.other.labels is None else self.other.labels[rows]
                known = {label: value.value for label, value in self._values({name: metric}, found, labels).items()}
                if path:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(path, known)
            floors |= known
        return floors

    def _floor_file(self, metric: str, n: int, seed: int) -> Path | None:
        """Where a floor is kept: its name covers both sets of features, the metric, and the version of its code."""
        if self.detector.weights_sha256 is None or self.other is None:
            return None
        keys = [
            features.key(self.detector, self.real, len(self.real), 0),
            features.key(self.detector, self.other, n, seed),
        ]
        facts = json.dumps([metric, __version__, *keys])
        return cache_dir() / "floors" / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.json"

    def _receipt(self, fakes: Images, n: int, seed: int, repeats: int) -> dict[str, Any]:
        here = provenance(self.detector.device)
        floor = _of_set(self.other)
        return {
            "generated": {"name": fakes.name, "n": n, "seed": seed, "repeats": repeats, "digest": fakes.digest},
            "real": _of_set(self.real),
            "floor": floor and {**floor, "n": min(n, floor["n"]), "seed": seed},
            "train": _of_set(self.train),
            "detector": {
                "name": self.detector.name,
                "protocol": self.detector.protocol,
                "weights_sha256": self.detector.weights_sha256,
            },
            **{name: here[name] for name in ("versions", "machine", "time", "command", "code_revision")},
        }


def usable(fakes: Images, n: int, repeats: int) -> int:
    """How many images are scored: n, or all where there are fewer. InputError for a single image."""
    if fakes.most is None:
        return n
    if repeats > 1:
        raise InputError(f"--repeats needs a generator, and {fakes.name} is a fixed set of images")
    if fakes.most < 2:
        raise InputError(f"{fakes.name} has 1 image; a score needs 2 or more, and thousands to mean something")
    if fakes.most < n:
        say(f"{fakes.name} has {fakes.most:,} images: all of them are scored, not {n:,}")
    return min(n, fakes.most)


def over_repeats(draws: list[dict[str, Value]]) -> dict[str, Value]:
    """Mean and standard deviation (ddof 1) over independent draws."""
    kind = f"standard deviation over {len(draws)} independent draws, whose mean is the value"
    merged = {}
    for label, first in draws[0].items():
        values = np.array([draw[label].value for draw in draws])
        extras = {f"draw_{i}": float(value) for i, value in enumerate(values)}
        merged[label] = Value(float(values.mean()), float(values.std(ddof=1)), kind, extras, first.notes)
    return merged


def _scored(metric: Metric, value: Value, floor: float | None, label: str, n: int) -> Scored:
    notes = value.notes
    if label == "FID" and n < FEW_FOR_FID:
        notes += (f"{n:,} images are few, and FID is biased upward: compare at equal n only, or read FID-infinity",)
    extras = dict(value.extras)
    return Scored(value.value, value.uncertainty, value.uncertainty_kind, floor, metric.better, extras, notes)


def _of_set(images: ImageSet | None) -> dict[str, Any] | None:
    if images is None:
        return None
    return {"name": images.name, "split": images.split, "n": len(images), "digest": images.digest}


def _read(path: Path) -> dict[str, float] | None:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
