"""What there is, by name, in words: what `counterfeit list` prints without torch, numpy or a second's wait.

The rooms `data/`, `detectors/` and `metrics/` register each of these names with what it does.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class DataFacts:
    """A named data set.

    Attributes:
        summary: one line for `counterfeit list data`.
        shape: (C, H, W) of an image.
        counts: number of images by split.
    """

    summary: str
    shape: tuple[int, int, int]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class DetectorFacts:
    """A named detector.

    Attributes:
        summary: one line for `counterfeit list detectors`.
        data: names of the data sets whose images it was trained on.
    """

    summary: str
    data: tuple[str, ...]


@dataclass(frozen=True)
class MetricFacts:
    """A metric.

    Attributes:
        labels: the keys of what it computes, in order; the detector's name is put behind them in print.
        better: which values are.
        summary: one line for `counterfeit list metrics`.
    """

    labels: tuple[str, ...]
    better: Literal["lower", "higher", "like the test set"]
    summary: str


@dataclass(frozen=True)
class ZooFacts:
    """A trained generator of the zoo, whose files are in a package of their own.

    Attributes:
        name: after ZOO.
        model, data: names.
        scores: label -> value, FID first, of the weights as they ship.
        size: of its files, in bytes.
        license: of the weights.
        sha256: of the list of its files, which has that of each.
    """

    name: str
    model: str
    data: str
    scores: Mapping[str, float]
    size: int
    license: str
    sha256: str


DATA = {
    "cifar10": DataFacts(
        "photographs of ten kinds of animals and vehicles", (3, 32, 32), {"train": 50_000, "test": 10_000}
    ),
    "emnist-balanced": DataFacts(
        "handwritten digits and letters, 47 classes; downloads 536 MiB",
        (1, 28, 28),
        {"train": 112_800, "test": 18_800},
    ),
    "fashion-mnist": DataFacts(
        "photographs of clothes, in MNIST's format", (1, 28, 28), {"train": 60_000, "test": 10_000}
    ),
    "kmnist": DataFacts(
        "Japanese characters of old books, in MNIST's format", (1, 28, 28), {"train": 60_000, "test": 10_000}
    ),
    "mnist": DataFacts("handwritten digits", (1, 28, 28), {"train": 60_000, "test": 10_000}),
    "mnist5k": DataFacts(
        "5,000 digits of MNIST's training set, 500 per class; a small download", (1, 28, 28), {"train": 5_000}
    ),
    "stacked-mnist": DataFacts(
        "three digits of MNIST as the colors of an image, 1,000 classes, to count modes",
        (3, 28, 28),
        {"train": 128_000, "test": 26_000},
    ),
    "svhn": DataFacts(
        "photographs of house numbers, cut to their digits", (3, 32, 32), {"train": 73_257, "test": 26_032}
    ),
}


def _shipped(features: int, *data: str) -> DetectorFacts:
    return DetectorFacts(f"small classifier trained on {data[0]}, {features} features; ships with the package", data)


def _dinov2(kind: str, features: int, size: str) -> DetectorFacts:
    return DetectorFacts(f"DINOv2 {kind}, {features} features; downloads {size} of weights once", ())


DETECTORS = {
    "inception": DetectorFacts("Inception-v3 as used in papers, 2048 features; downloads 91 MiB of weights once", ()),
    "mnist-cnn": _shipped(224, "mnist", "mnist5k"),
    "fashion-cnn": _shipped(224, "fashion-mnist"),
    "cifar10-cnn": _shipped(256, "cifar10"),
    "stacked-mnist-cnn": DetectorFacts(
        "mnist-cnn on each of three color channels, 672 features and 1,000 classes; ships with the package",
        ("stacked-mnist",),
    ),
    "dinov2-small": _dinov2("ViT-S/14", 384, "84 MiB"),
    "dinov2-base": _dinov2("ViT-B/14", 768, "330 MiB"),
    "dinov2-large": _dinov2("ViT-L/14", 1024, "1.1 GiB"),
}

TRACKERS = ("tensorboard", "wandb", "mlflow")  # see tracking/

METRICS = {
    "fid": MetricFacts(("FID",), "lower", "Fréchet distance between Gaussians fitted to real and generated features"),
    "fid-infinity": MetricFacts(
        ("FID-infinity",), "lower", "FID extrapolated to infinitely many samples, which removes its bias"
    ),
    "kid": MetricFacts(
        ("KID",),
        "lower",
        "unbiased kernel distance (squared MMD) of features; near 0, even below, for a perfect model",
    ),
    "is": MetricFacts(
        ("IS",), "higher", "Inception Score: confident and diverse class predictions; from 1 to the number of classes"
    ),
    "class-kl": MetricFacts(
        ("Class-KL",),
        "lower",
        "mode coverage: KL divergence of the class frequencies from those of real images, in nats",
    ),
    "modes": MetricFacts(("Modes",), "higher", "number of classes that are drawn at all; on request"),
    "uniform-kl": MetricFacts(
        ("Uniform-KL",), "lower", "KL divergence of the class frequencies from equal ones, in nats; on request"
    ),
    "label-accuracy": MetricFacts(
        ("Label-accuracy",),
        "higher",
        "share of a conditional model's samples that the detector assigns to the class asked for",
    ),
    "ifid": MetricFacts(
        ("iFID",), "lower", "FID within each class of labeled images, the mean over the classes; on request"
    ),
    "iprecision-recall": MetricFacts(
        ("iPrecision", "iRecall"),
        "higher",
        "precision and recall (k=3) within each class of labeled images, the mean over the classes; on request",
    ),
    "precision-recall": MetricFacts(
        ("Precision", "Recall"),
        "higher",
        "share of samples within the real images' manifold, and vice versa (Kynkäänniemi, k=3)",
    ),
    "prdc": MetricFacts(
        ("PRDC-precision", "PRDC-recall", "Density", "Coverage"),
        "higher",
        "precision, recall, density and coverage (Naeem, k=5)",
    ),
    "vendi": MetricFacts(
        ("Vendi",),
        "higher",
        "effective number of different images, by the cosines of their features; no real image is seen; on request",
    ),
    "authenticity": MetricFacts(
        ("Authenticity", "Authenticity (test)"),
        "like the test set",
        "share of samples that are farther from the nearest training image than its own nearest neighbor",
    ),
    "near-copies": MetricFacts(
        ("Near-copies", "Near-copies (test)"),
        "like the test set",
        "share of samples much closer to a training image than real test images are; detects copying",
    ),
    "ct": MetricFacts(
        ("C_T", "C_T (test)"),
        "like the test set",
        "rank test of the distances to the training set, samples against real test images; detects copying",
    ),
}

ZOO = "zoo:"  # before the name of a generator of the zoo, where a run can be named
ZOO_FILE = Path(__file__).with_name("zoo.json")  # benchmarks/zoo.py writes it
MINUTES = Path(__file__).with_name("minutes.json")  # of training with a model's defaults; benchmarks/publish.py


@functools.cache
def _minutes() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(MINUTES.read_text(encoding="utf-8"))
    return found


def minutes(model: str) -> dict[str, str]:
    """By data set, the minutes that training a model with its defaults takes on 2 cores; those that were measured."""
    return {data: f"{found:.1f}" if found < 10 else f"{found:.0f}" for data, found in _minutes().get(model, {}).items()}


@functools.cache
def zoo() -> dict[str, ZooFacts]:
    """The trained generators that this version knows, by name; the package with their weights may be missing."""
    found = json.loads(ZOO_FILE.read_text(encoding="utf-8"))
    return {name: ZooFacts(name, **facts) for name, facts in found.items()}
