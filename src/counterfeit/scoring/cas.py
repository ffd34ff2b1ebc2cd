"""Classification Accuracy Score: what a classifier learns from generated images, measured on real ones.

Ravuri & Vinyals 2019 (arXiv:1905.10887). A classifier is trained only on a conditional model's images and the labels
for which they were generated; the score is the share of real test images that it classifies correctly. The baseline is
the same classifier trained on the same number of real images.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from counterfeit.data import ImageSet
from counterfeit.data.form import form_of
from counterfeit.data.rows import take
from counterfeit.detectors.small_cnn import SmallCNN
from counterfeit.detectors.training import Recipe, accuracy, fit, predicted, recipe_for, sized
from counterfeit.errors import InputError
from counterfeit.metrics import Value
from counterfeit.metrics.label_accuracy import label_accuracy
from counterfeit.scoring import receipt
from counterfeit.scoring.baselines import Baseline, fewer
from counterfeit.scoring.classes import by_number, in_terms_of
from counterfeit.scoring.features import CHOICE
from counterfeit.scoring.images import Images, check_form, subset
from counterfeit.scoring.kept import Arrays, kept, key_of
from counterfeit.scoring.score import Score, Scored
from counterfeit.scoring.scorer import over_repeats, usable
from counterfeit.settings import ScoreConfig
from counterfeit.system.console import say
from counterfeit.system.device import pick_device
from counterfeit.system.distributed import ALONE
from counterfeit.system.memory import check_room
from counterfeit.system.words import first_few

CLASSIFIER = "small-cnn"
NAME = f"CAS[{CLASSIFIER}]"


@dataclass(frozen=True)
class Labeled:
    """Generated images and the labels for which they were generated.

    Attributes:
        images: the source of the images.
        labels: (n, seed) -> integers (n,), one for each image of `images.draw(n, seed, ALONE)`.
        classes: names of the labels.
        shape: (C, H, W) of an image.
        trained_on: digest of the images that the generator was trained on; None if unknown.
    """

    images: Images
    labels: Callable[[int, int], np.ndarray]
    classes: Sequence[str]
    shape: tuple[int, int, int]
    trained_on: str | None = None

    @classmethod
    def of_set(cls, images: ImageSet) -> Labeled:
        """Use an existing set of images. Raises InputError if it has no labels."""
        whole = Images.of_set(images)
        if whole.known is None:
            raise InputError(
                f"{images.name} has no labels to train a classifier with: of an .npz file they are the array 'labels', "
                "in a folder each class has a subfolder, and an array takes labels="
            )
        return cls(whole, whole.known.labels, whole.known.names, images.shape)


def cas(fakes: Labeled, test: ImageSet, train: ImageSet | None, config: ScoreConfig) -> Score:
    """Train a classifier on n generated images, `config.repeats` times, and test it on all images of `test`.

    With repeats > 1, draw and classifier use the seeds `config.seed`, `config.seed` + 1, …

    Args:
        train: real images for the baseline, of which n are used if they have labels; None for no baseline.

    Raises:
        InputError: images or labels do not fit the real ones, or the real images have no labels.
    """
    begun = time.perf_counter()
    if test.labels is None:
        raise InputError(f"{test.name} has no labels to test a classifier with: pass real images with labels as --real")
    check_form(fakes.images.name, fakes.shape, test)
    if by_number(test.classes, fakes.classes):
        pairs = [f"{name} is {test.classes[int(name)]}" for name in fakes.classes if int(name) < len(test.classes)]
        say(f"{fakes.images.name}: its classes are matched to those of {test.name} by number: {first_few(pairs)}")
    n, seed, device = usable(fakes.images, config.n, config.repeats), config.seed, pick_device(config.device)
    check_room(2 * n * math.prod(fakes.shape), f"a classifier of {n:,} images", "lower -n")
    recipe = replace(recipe_for(test.dataset, test.shape[0]), seed=seed)
    draws = [_drawn(fakes, test, n, replace(recipe, seed=s), device) for s in range(seed, seed + config.repeats)]
    value = _merged([found for found, _ in draws])
    notes = (*value.notes, *_overlap(fakes, test))
    train = None if train is None or train.labels is None else train
    floor = None if train is None else _floor(test, train, n, recipe, device)
    made = {
        "generated": receipt.of_images(fakes.images, n, seed, config.repeats, lambda n: fakes.labels(n, seed)),
        "real": {**(receipt.of_set(test) or {}), "classes": list(test.classes), "form": form_of(test)},
        "floor": receipt.of_floor(train, n, seed),
        "classifier": _classifier(draws[0][1], sized(recipe, n)),
        **receipt.of_code(receipt.scoring_of(fakes.images)),
        **receipt.made_here(device),
        "seconds": round(time.perf_counter() - begun, 2),
    }
    scored = Scored(value.value, value.uncertainty, value.uncertainty_kind, None, "higher", dict(value.extras), notes)
    return Score({NAME: scored if floor is None else floor.beside(scored)}, made)


def _drawn(fakes: Labeled, test: ImageSet, n: int, recipe: Recipe, device: torch.device) -> tuple[Value, SmallCNN]:
    """The score of one draw and one classifier, both with the recipe's seed."""
    labels = in_terms_of(test.classes, fakes.labels(n, recipe.seed), fakes.classes, fakes.images.name)
    images = np.concatenate(list(fakes.images.draw(n, recipe.seed, ALONE)))
    what = f"{CLASSIFIER}: {recipe.epochs} epochs on {n:,} images of {fakes.images.name}"
    network = fit(images, labels, len(test.classes), sized(recipe, n), device, what)
    assert test.labels is not None
    batches = (torch.from_numpy(take(test.images, rows)) for rows in subset(len(test), len(test), 0))
    probabilities = torch.cat([predicted(network, batch) for batch in batches])
    found = label_accuracy(probabilities.numpy(), test.labels)
    kind = f"standard error over the {len(test):,} test images; leaves out the luck of this one draw and training"
    classes = {name: share for name, share in found.extras.items() if name.startswith("class_")}
    extras = {**classes, "standard_error_real": found.uncertainty or 0.0}  # for CAS the test images are the real ones
    missing = [name for label, name in enumerate(test.classes) if label not in labels]
    notes = (
        f"no generated image has the label {first_few(missing)}: the classifier cannot know what it was never shown",
    )
    return replace(found, uncertainty_kind=kind, extras=extras, notes=notes if missing else ()), network


def _merged(draws: list[Value]) -> Value:
    """The value of a single draw, or mean and standard deviation over several; class accuracies are averaged too."""
    if len(draws) == 1:
        return draws[0]
    merged = over_repeats([{NAME: draw} for draw in draws])[NAME]
    kind = f"{merged.uncertainty_kind}; each draw has a classifier seed of its own"
    classes = {name: float(np.mean([draw.extras[name] for draw in draws])) for name in draws[0].extras}
    return replace(merged, uncertainty_kind=kind, extras={**merged.extras, **classes})


def _floor(test: ImageSet, train: ImageSet, asked: int, recipe: Recipe, device: torch.device) -> Baseline:
    """Accuracy after training on as many real images, chosen by the recipe's seed; cached.

    There is only one classifier, since each costs minutes: the ± is the standard error over the test images.
    """
    n = min(asked, len(train))
    recipe = sized(recipe, n)
    what = f"{CLASSIFIER}: {recipe.epochs} epochs on {n:,} real images of {train.name}:{train.split}"

    def make() -> Arrays:
        rows = np.concatenate(list(subset(len(train), n, recipe.seed)))
        assert train.labels is not None and test.labels is not None
        network = fit(train.images[rows], train.labels[rows], len(test.classes), recipe, device, what)
        right = accuracy(network, torch.from_numpy(np.array(test.images)), torch.from_numpy(test.labels))
        return {"accuracy": np.array(right)}

    key = key_of(
        ["cas", test.digest, form_of(test), train.digest, form_of(train), n, asdict(recipe)],
        "detectors",
        "scoring/cas.py",
        *CHOICE,
    )
    found = float(kept("floors", key, ["accuracy"], what, make)["accuracy"])
    return Baseline(found, math.sqrt(found * (1 - found) / (len(test) - 1)), 1, fewer(n, asked))


def _overlap(fakes: Labeled, test: ImageSet) -> tuple[str, ...]:
    """A note if the generator was, or may have been, trained on the images that the classifier is tested on."""
    fix = "name a test split by --real"
    if fakes.trained_on == test.digest:
        return (f"the generator was trained on the very images of this test, so that copying them pays: {fix}",)
    if test.split == "train" and test.dataset:
        return (f"the test is a training split; had the generator seen it, copying would pay: {fix}",)
    return ()


def _classifier(network: SmallCNN, recipe: Recipe) -> dict[str, Any]:
    """The classifier's part of the receipt, without mean and std of the pixels, which differ for every training set."""
    of = network.of
    return {
        "name": CLASSIFIER,
        "protocol": of.protocol,
        "architecture": {"stem": list(of.stem), "widths": list(of.widths), "classes": of.classes},
        "recipe_of": recipe.name,
        "recipe": recipe.settings,
    }
