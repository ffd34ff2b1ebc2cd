"""Scores of generated images as pure float64 functions of features: nothing here sees an image, a model or a file.

`METRICS` holds them all under one call; each is a plain function of its own module as well (`frechet.fid`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from counterfeit.errors import InputError
from counterfeit.metrics import (
    class_balance,
    copying_test,
    frechet,
    inception_score,
    kernel,
    label_accuracy,
    memorisation,
    prdc,
)
from counterfeit.metrics.value import PROTOCOL_SEED, Value
from counterfeit.registry import Registry

__all__ = ["METRICS", "Inputs", "Metric", "Value"]

Need = Literal["real", "fake", "probabilities", "real_probabilities", "labels", "train"]
NEEDS: dict[Need, str] = {
    "real": "features of real images",
    "fake": "features of the generated images",
    "probabilities": "class probabilities of the generated images",
    "real_probabilities": "class probabilities of real images",
    "labels": "labels that the images were generated for",
    "train": "features of the images that the model was trained on",
}


@dataclass(frozen=True)
class Inputs:
    """What a detector found in the images, arrays or None; a metric says which of these it needs."""

    real: Any = None
    """Features (N, D) of the real images to compare with; for memorisation, of a test set."""
    fake: Any = None
    """Features (M, D) of the generated images."""
    probabilities: Any = None
    """Class probabilities (M, C) of the generated images."""
    real_probabilities: Any = None
    """Class probabilities (N, C) of the real images."""
    labels: Any = None
    """Labels that the images were generated for, integers (M,)."""
    train: Any = None
    """Features (T, D) of the images that the model was trained on."""
    reference: memorisation.Reference | None = None
    """`memorisation.reference(train, real)` where it is known already; it saves most of memorisation's time."""
    matches: tuple[memorisation.Matches, memorisation.Matches] | None = None
    """Of real and of fake: what a search of the training images' pixels found, which near-copies uses."""
    seed: int = PROTOCOL_SEED
    """Of subsets, shuffles and halves; the default draws what torch-fidelity draws."""

    @cached_property
    def neighbours(self) -> memorisation.Neighbours:
        """The nearest training images, found once for every metric of memorisation."""
        return memorisation.neighbours(
            self.train, self.real, self.fake, seed=self.seed, known=self.reference, matches=self.matches
        )

    @cached_property
    def balls(self) -> list[prdc.Judged]:
        """Those of both protocols of precision and recall, filled in one pass."""
        return prdc.fill(self.real, self.fake, prdc.KYNKAANNIEMI, prdc.NAEEM, seed=self.seed)


@dataclass(frozen=True)
class Metric:
    """One way to score: its printed labels, what it needs, and the function behind it."""

    labels: tuple[str, ...]
    """The keys of what `compute` returns, in order; the detector's name is put behind them in print."""
    better: Literal["lower", "higher", "like the test set"]
    needs: tuple[Need, ...]
    summary: str
    function: Callable[[Inputs], dict[str, Value]]
    least: int = 2
    """The smallest number of images in each set that gives a number; far more are needed for one of use."""
    from_moments: Callable[[frechet.Moments, Any], dict[str, Value]] | None = None
    """The same from moments of the real features and features of the generated images; None if it needs more."""

    @property
    def judges_classes(self) -> bool:
        """Whether it reads class probabilities, of which a classifier is surer for images that it was trained on."""
        return "probabilities" in self.needs

    @property
    def compares(self) -> bool:
        """Whether real images are a side of it."""
        return "real" in self.needs or "real_probabilities" in self.needs

    def compute(self, inputs: Inputs) -> dict[str, Value]:
        """The values by label. Raises InputError where an input is missing, too small, not finite or does not fit."""
        for need in self.needs:
            if getattr(inputs, need) is None:
                raise InputError(f"{self.labels[0]} needs the {NEEDS[need]}; none were given")
        return self.function(inputs)


METRICS: Registry[Metric] = Registry("metric")

METRICS.add(
    "fid",
    Metric(
        ("FID",),
        "lower",
        ("real", "fake"),
        "Fréchet distance between Gaussians fitted to real and generated features",
        lambda i: {"FID": frechet.fid(i.real, i.fake)},
        from_moments=lambda real, fake: {"FID": frechet.fid_to(real, fake)},
    ),
)
METRICS.add(
    "fid-infinity",
    Metric(
        ("FID-infinity",),
        "lower",
        ("real", "fake"),
        "FID extrapolated to infinitely many samples, which removes its bias",
        lambda i: {"FID-infinity": frechet.fid_infinity(i.real, i.fake, seed=i.seed)},
    ),
)
METRICS.add(
    "kid",
    Metric(
        ("KID",),
        "lower",
        ("real", "fake"),
        "unbiased kernel distance (squared MMD) of features; near 0, even below, for a perfect model",
        lambda i: {"KID": kernel.kid(i.real, i.fake, seed=i.seed)},
    ),
)
METRICS.add(
    "is",
    Metric(
        ("IS",),
        "higher",
        ("probabilities",),
        "Inception Score: confident and diverse class predictions; from 1 to the number of classes",
        lambda i: {"IS": inception_score.inception_score(i.probabilities, seed=i.seed)},
    ),
)
METRICS.add(
    "class-kl",
    Metric(
        ("Class-KL",),
        "lower",
        ("probabilities", "real_probabilities"),
        "mode coverage: KL divergence of the class frequencies from those of real images, in nats",
        lambda i: {"Class-KL": class_balance.class_kl(i.real_probabilities, i.probabilities)},
    ),
)
METRICS.add(
    "label-accuracy",
    Metric(
        ("Label-accuracy",),
        "higher",
        ("probabilities", "labels"),
        "share of a conditional model's samples that the detector assigns to the class asked for",
        lambda i: {"Label-accuracy": label_accuracy.label_accuracy(i.probabilities, i.labels)},
    ),
)
METRICS.add(
    "precision-recall",
    Metric(
        ("Precision", "Recall"),
        "higher",
        ("real", "fake"),
        "share of samples within the real images' manifold, and vice versa (Kynkäänniemi, k=3)",
        lambda i: prdc.precision_recall_of(i.balls[0]),
    ),
)
METRICS.add(
    "prdc",
    Metric(
        ("PRDC-precision", "PRDC-recall", "Density", "Coverage"),
        "higher",
        ("real", "fake"),
        "precision, recall, density and coverage (Naeem, k=5)",
        lambda i: prdc.prdc_of(i.balls[1]),
    ),
)
METRICS.add(
    "authenticity",
    Metric(
        ("Authenticity", "Authenticity (test)"),
        "like the test set",
        ("real", "fake", "train"),
        "share of samples that are farther from the nearest training image than its own nearest neighbor",
        lambda i: memorisation.authenticity(i.neighbours),
    ),
)
METRICS.add(
    "near-copies",
    Metric(
        ("Near-copies", "Near-copies (test)"),
        "like the test set",
        ("real", "fake", "train"),
        "share of samples much closer to a training image than real test images are; detects copying",
        lambda i: memorisation.near_copies(i.neighbours),
    ),
)
METRICS.add(
    "ct",
    Metric(
        ("C_T", "C_T (test)"),
        "like the test set",
        ("real", "fake", "train"),
        "rank test of the distances to the training set, samples against real test images; detects copying",
        lambda i: copying_test.copying_test(i.neighbours),
    ),
)
