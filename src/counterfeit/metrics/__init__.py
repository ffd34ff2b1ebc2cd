"""Metrics of generated images as pure float64 functions of features; nothing here sees an image, a model or a file.

`METRICS` holds all of them behind one interface; each is also a plain function of its own module, such as
`frechet.fid`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from counterfeit import catalog
from counterfeit.catalog import MetricFacts
from counterfeit.errors import InputError
from counterfeit.metrics import (
    class_balance,
    copying_test,
    frechet,
    inception_score,
    kernel,
    label_accuracy,
    memorization,
    modes,
    per_class,
    prdc,
    vendi,
)
from counterfeit.metrics.keep import Keep, computed
from counterfeit.metrics.value import PROTOCOL_SEED, Value
from counterfeit.registry import Registry

__all__ = ["METRICS", "Inputs", "Metric", "Value"]

Need = Literal["real", "fake", "probabilities", "real_probabilities", "labels", "real_classes", "fake_classes", "train"]
NEEDS: dict[Need, str] = {
    "real": "features of real images",
    "fake": "features of the generated images",
    "probabilities": "class probabilities of the generated images",
    "real_probabilities": "class probabilities of real images",
    "labels": "labels that the images were generated for",
    "real_classes": "classes of the real images",
    "fake_classes": "classes of the generated images",
    "train": "features of the images that the model was trained on",
}


@dataclass(frozen=True)
class Inputs:
    """What a detector computed from the images, arrays or None; each metric declares which of these it needs."""

    real: Any = None
    """Features (N, D) of the real images to compare with; for memorization metrics, of a test set."""
    fake: Any = None
    """Features (M, D) of the generated images."""
    probabilities: Any = None
    """Class probabilities (M, C) of the generated images."""
    real_probabilities: Any = None
    """Class probabilities (N, C) of the real images."""
    labels: Any = None
    """Labels for which the images were generated, integers (M,): the classes of the detector."""
    real_classes: Any = None
    """The class of every real image, integers (N,)."""
    fake_classes: Any = None
    """The class for which every image was generated, integers (M,), as the real images' classes are numbered."""
    train: Any = None
    """Features (T, D) of the images that the model was trained on."""
    matches: tuple[memorization.Matches, memorization.Matches] | None = None
    """Results of the pixel search among training images, for the real and the generated images; used by near-copies."""
    keep: Keep = computed
    """Asked for what depends on the real and training images alone, such as their neighbors among themselves."""
    seed: int = PROTOCOL_SEED
    """Seed of subsets, shuffles and halves; the default draws the same subsets as torch-fidelity."""

    @cached_property
    def neighbors(self) -> memorization.Neighbors:
        """The nearest training images, found once for all memorization metrics."""
        return memorization.neighbors(
            self.train, self.real, self.fake, seed=self.seed, keep=self.keep, matches=self.matches
        )

    @cached_property
    def balls(self) -> list[prdc.Judged]:
        """The balls of both protocols of precision and recall, filled in one pass."""
        return prdc.fill(self.real, self.fake, *prdc.BOTH, seed=self.seed, keep=self.keep)


@dataclass(frozen=True)
class Metric(MetricFacts):
    """A metric: its printed labels, what it needs, and its function."""

    needs: tuple[Need, ...]
    function: Callable[[Inputs], dict[str, Value]]
    least: int = 2
    """The smallest number of images per set that gives a value; a useful value needs far more."""
    from_moments: Callable[[frechet.Moments, Any], dict[str, Value]] | None = None
    """Computes the metric from moments of the real features and features of the generated images; None if that is not
    enough."""
    on_request: bool = False
    """Whether a score has it only if it is asked for by name, but for the detectors of `default_of`."""
    default_of: tuple[str, ...] = ()
    """Names of detectors by which a score has it by default all the same."""

    def by_default(self, detector: str) -> bool:
        """Whether a score by this detector has it without being asked."""
        return not self.on_request or detector in self.default_of

    @property
    def judges_classes(self) -> bool:
        """Whether it reads class probabilities. A classifier is more confident on images that it was trained on."""
        return "probabilities" in self.needs

    @property
    def compares(self) -> bool:
        """Whether it compares with real images."""
        return "real" in self.needs or "real_probabilities" in self.needs

    def compute(self, inputs: Inputs) -> dict[str, Value]:
        """Compute the values by label. Raises InputError if an input is missing, too small, not finite or unfitting."""
        for need in self.needs:
            if getattr(inputs, need) is None:
                raise InputError(f"{self.labels[0]} needs the {NEEDS[need]}; none were given")
        return self.function(inputs)


METRICS: Registry[Metric] = Registry("metric")


def _add(name: str, needs: tuple[Need, ...], function: Callable[[Inputs], dict[str, Value]], **more: Any) -> None:
    METRICS.add(name, Metric(**vars(catalog.METRICS[name]), needs=needs, function=function, **more))


_add(
    "fid",
    ("real", "fake"),
    lambda i: {"FID": frechet.fid(i.real, i.fake)},
    from_moments=lambda real, fake: {"FID": frechet.fid_to(real, fake)},
)
_add(
    "fid-infinity",
    ("real", "fake"),
    lambda i: {"FID-infinity": frechet.fid_infinity(i.real, i.fake, seed=i.seed)},
)
_add(
    "kid",
    ("real", "fake"),
    lambda i: {"KID": kernel.kid(i.real, i.fake, seed=i.seed, keep=i.keep)},
)
_add(
    "is",
    ("probabilities",),
    lambda i: {"IS": inception_score.inception_score(i.probabilities, seed=i.seed)},
)
_add(
    "class-kl",
    ("probabilities", "real_probabilities"),
    lambda i: {"Class-KL": class_balance.class_kl(i.real_probabilities, i.probabilities)},
)
_add(
    "modes",
    ("probabilities",),
    lambda i: {"Modes": modes.modes(i.probabilities)},
    on_request=True,
    default_of=("stacked-mnist-cnn",),
)
_add(
    "uniform-kl",
    ("probabilities",),
    lambda i: {"Uniform-KL": modes.uniform_kl(i.probabilities)},
    on_request=True,
    default_of=("stacked-mnist-cnn",),
)
_add(
    "label-accuracy",
    ("probabilities", "labels"),
    lambda i: {"Label-accuracy": label_accuracy.label_accuracy(i.probabilities, i.labels)},
)
_add(
    "ifid",
    ("real", "fake", "real_classes", "fake_classes"),
    lambda i: per_class.ifid(i.real, i.fake, i.real_classes, i.fake_classes),
    on_request=True,
)
_add(
    "iprecision-recall",
    ("real", "fake", "real_classes", "fake_classes"),
    lambda i: per_class.precision_recall(i.real, i.fake, i.real_classes, i.fake_classes, seed=i.seed),
    on_request=True,
)
_add(
    "precision-recall",
    ("real", "fake"),
    lambda i: prdc.precision_recall_of(i.balls[0]),
)
_add(
    "prdc",
    ("real", "fake"),
    lambda i: prdc.prdc_of(i.balls[1]),
)
_add("vendi", ("fake",), lambda i: {"Vendi": vendi.vendi(i.fake)}, on_request=True)
_add(
    "authenticity",
    ("real", "fake", "train"),
    lambda i: memorization.authenticity(i.neighbors),
)
_add(
    "near-copies",
    ("real", "fake", "train"),
    lambda i: memorization.near_copies(i.neighbors),
)
_add(
    "ct",
    ("real", "fake", "train"),
    lambda i: copying_test.copying_test(i.neighbors),
)
