"""Metrics of one class at a time: the mean over the classes of what a metric says of the images of one class.

Over all images at once, a metric does not see whether a conditional model draws the class that was asked for, and
hardly whether all images of one class are alike. Within a class it sees both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterfeit.errors import InputError
from counterfeit.metrics import frechet, prdc
from counterfeit.metrics.class_balance import MOST_NAMED
from counterfeit.metrics.value import PROTOCOL_SEED, Floats, Value, as_pair, standard_errors

LEAST = 2  # images of a class in each set
OfTwoSets = Callable[[Floats, Floats], Mapping[str, Value]]


def ifid(real: ArrayLike, fake: ArrayLike, real_classes: ArrayLike, fake_classes: ArrayLike) -> dict[str, Value]:
    """Intra-FID: the mean over the classes of the FID of each class's images; in [0, ∞), lower is better.

    Miyato & Koyama 2018 (arXiv:1802.05637). Every class counts the same, however many images it has. Each FID is of a
    class's images only, so its bias is that of so few: compare at equal numbers of images.

    Args:
        real, fake: features (N, D) and (M, D).
        real_classes, fake_classes: the class of every image, integers (N,) and (M,) with the same meaning in both.

    `extras["class_c"]` is the FID of class c, for up to 100 classes. The standard error is that of a mean of
    independent values. Raises InputError as `frechet.fid` does, and if a class has fewer than 2 images in either set.
    """
    real, fake = as_pair(real, fake)
    found = mean(lambda x, y: {"iFID": frechet.fid(x, y)}, "iFID", real, fake, real_classes, fake_classes)
    least = min(
        np.unique(of, return_counts=True)[1].min() for of in (np.asarray(real_classes), np.asarray(fake_classes))
    )
    if least > real.shape[1]:
        return found
    few = f"a class has {least} images, not more than the {real.shape[1]} features: its FID is biased upward by so few"
    return {name: replace(value, notes=(*value.notes, few)) for name, value in found.items()}


def precision_recall(
    real: ArrayLike,
    fake: ArrayLike,
    real_classes: ArrayLike,
    fake_classes: ArrayLike,
    *,
    seed: int = PROTOCOL_SEED,
) -> dict[str, Value]:
    """The mean over the classes of the precision and the recall of each class's images; in [0, 1], higher is better.

    The definition is that of `prdc.precision_recall`, with balls that reach to other images of the same class. A
    generated image of another class than was asked for counts as a bad one. Arguments, extras and errors as in `ifid`.
    """

    def of_class(x: Floats, y: Floats) -> Mapping[str, Value]:
        (found,) = prdc.fill(x, y, prdc.KYNKAANNIEMI, seed=seed)
        return {f"i{name}": value for name, value in prdc.precision_recall_of(found).items()}

    return mean(of_class, "iPrecision", *as_pair(real, fake), real_classes, fake_classes)


def mean(
    function: OfTwoSets, name: str, real: Floats, fake: Floats, real_classes: ArrayLike, fake_classes: ArrayLike
) -> dict[str, Value]:
    """The mean over the classes of what `function` says of a class's real and generated images, by its labels.

    `name` is the metric's in an InputError.
    """
    both = _classes(real_classes, len(real), "real"), _classes(fake_classes, len(fake), "generated")
    classes = classes_of_both(name, *both)
    found = {int(c): function(real[both[0] == c], fake[both[1] == c]) for c in classes}
    labels = next(iter(found.values()))
    return {label: _mean({c: values[label] for c, values in found.items()}) for label in labels}


def _classes(classes: ArrayLike, count: int, whose: str) -> NDArray[np.integer]:
    array = np.asarray(classes)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InputError(f"{whose} classes must be integers ({count},), one per image, not {array.dtype} {array.shape}")
    return array


def classes_of_both(name: str, real: NDArray[np.integer], fake: NDArray[np.integer]) -> NDArray[np.integer]:
    """The classes of both sets, ascending. Raises InputError for one that has too few images in either."""
    classes = np.union1d(real, fake)
    counts = [np.bincount(np.searchsorted(classes, of), minlength=len(classes)) for of in (real, fake)]
    few = np.flatnonzero(np.minimum(*counts) < LEAST)
    if len(few):
        first, others = few[0], f", and so few of {len(few) - 1} other classes" if len(few) > 1 else ""
        raise InputError(
            f"{name} needs at least {LEAST} real and {LEAST} generated images of every class; of class "
            f"{classes[first]} there are {counts[0][first]} real and {counts[1][first]} generated ones{others}: "
            "use more images"
        )
    return classes


def _mean(by_class: Mapping[int, Value]) -> Value:
    """The mean of independent values."""
    values = list(by_class.values())

    def error(of: Callable[[Value], float | None]) -> float | None:
        parts = [of(value) for value in values]
        there = [part for part in parts if part is not None]
        return float(np.linalg.norm(there)) / len(parts) if len(there) == len(parts) else None

    of_real, of_fake = (error(partial(_part, f"standard_error_{which}")) for which in ("real", "fake"))
    parts = {} if of_real is None or of_fake is None else standard_errors(of_real, of_fake)
    named = {f"class_{c}": value.value for c, value in by_class.items()} if len(values) <= MOST_NAMED else {}
    return Value(
        float(np.mean([value.value for value in values])),
        error(lambda value: value.uncertainty),
        f"{values[0].uncertainty_kind}; of the mean over {len(values)} classes" if values[0].uncertainty_kind else "",
        {**named, **parts},
        _notes(by_class),
    )


def _part(name: str, value: Value) -> float | None:
    return value.extras.get(name)


def _notes(by_class: Mapping[int, Value]) -> tuple[str, ...]:
    """Each sentence once, with how many classes it is about."""
    notes = [note for value in by_class.values() for note in value.notes]
    return tuple(f"of {notes.count(note)} of {len(by_class)} classes: {note}" for note in dict.fromkeys(notes))
