"""From a user's request to a score: choose the real images, the detector and the metrics."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from counterfeit import data as datasets
from counterfeit import detectors
from counterfeit.data import DATASETS, ImageSet
from counterfeit.data.form import is_gray
from counterfeit.data.place import is_there
from counterfeit.data.walk import glance
from counterfeit.detectors import DETECTORS, Detector
from counterfeit.errors import InputError
from counterfeit.metrics import METRICS, NEEDS, per_class
from counterfeit.models import ModelSettings
from counterfeit.runs import RunRecord
from counterfeit.runs.data import images_of, matching, source_of
from counterfeit.scoring.against_statistics import StatisticsScorer
from counterfeit.scoring.baselines import knows_classes, tells_apart
from counterfeit.scoring.classes import Classes, in_terms_of, places
from counterfeit.scoring.images import Images, as_gray, at_size, check_form, classes_of, generated, used
from counterfeit.scoring.score import Score
from counterfeit.scoring.scorer import Scorer
from counterfeit.scoring.statistics import is_statistics, read
from counterfeit.settings import ScoreConfig
from counterfeit.system import distributed, paths
from counterfeit.system.console import say
from counterfeit.system.distributed import Group
from counterfeit.system.memory import check_room
from counterfeit.system.words import first_few

# Real images, images for the baseline, and images that the model was trained on
Sets = tuple[ImageSet, ImageSet | None, ImageSet | None]


def score(source: Any, config: ScoreConfig, trained: RunRecord | None = None, scorer: Scorer | None = None) -> Score:
    """Score a folder, .npz file, array, callable or `Images`.

    Args:
        trained: run.json of the run that made the images, if there is one; it says what the run was trained on.
        scorer: result of `prepared` for these settings, to score several runs.

    Raises:
        InputError: something named is wrong, missing, or does not fit.
    """
    if config.real is None and trained is None and scorer is None:
        refuse_run(source)  # a run would need no --real: report that before the missing --real
    if scorer is None and is_statistics(config.real):
        scorer = prepared(config)
    group = scorer.group if scorer else distributed.join(config.device)
    if scorer is None:  # before the generated images are read, so that a wrong name is reported at once
        sets = group.everyone(partial(real_images, config, trained))
    if not isinstance(source, Images) and not callable(source):
        source = group.everyone(partial(generated, source, config.size, config.skip_bad))
    if scorer is None:
        scorer = _scorer(config, sets, None if callable(source) else source.shape, group)
    fakes, names = group.everyone(partial(_checked, source, config, scorer))
    return scorer.score(fakes, names, config.n, config.seed, config.repeats)


def _checked(source: Any, config: ScoreConfig, scorer: Scorer) -> tuple[Images, list[str]]:
    """What is scored, and the names of the metrics."""
    fakes, names = _fitting(source, config, scorer)
    n = config.n if fakes.most is None else min(config.n, fakes.most)
    for name in names:
        if "fake_classes" in METRICS[name].needs:
            _check_classes(METRICS[name].labels[0], scorer, fakes, n, config.seed)
    # float32, once in batches and once in one array; the number of features of a callable is not known yet
    check_room(2 * 4 * n * (scorer.detector.dim or 1), f"features of {n:,} images", "lower -n")
    return fakes, names


def _fitting(source: Any, config: ScoreConfig, scorer: Scorer) -> tuple[Images, list[str]]:
    if isinstance(scorer, StatisticsScorer):
        fakes = scorer.images(source, config)
        return fakes, metric_names(config, scorer, fakes)
    any_size = scorer.detector.any_size
    if isinstance(source, Images):
        fakes = source.at_size(config.size)
        if fakes.shape is not None:
            check_form(fakes.name, fakes.shape, scorer.real, any_size)
    else:
        fakes = Images.of(source, scorer.real, config.skip_bad, config.size, any_size)
    return fakes, metric_names(config, scorer, fakes)


def prepared(config: ScoreConfig, trained: RunRecord | None = None, run: str = "the run") -> Scorer:
    """Load the requested real images and detector, in each process of a job. Raises InputError as `score` does.

    Args:
        trained: run.json of the run that will be scored.
    """
    group = distributed.join(config.device)
    if is_statistics(config.real):
        return group.everyone(partial(_of_statistics, config, group))
    sets = group.everyone(partial(real_images, config, trained, run))
    return _scorer(config, sets, trained.data.shape if trained else None, group)


def _of_statistics(config: ScoreConfig, group: Group) -> StatisticsScorer:
    """The scorer for a file of statistics, with the detector named there."""
    statistics = read(config.real)
    wanted, settings = statistics.choice(config)
    return StatisticsScorer(named_detector(settings, wanted), statistics, group)


def _scorer(config: ScoreConfig, sets: Sets, shape: tuple[int, int, int] | None, group: Group) -> Scorer:
    """The scorer for sets from `real_images` and generated images (C, H, W)."""

    def load() -> Scorer:
        real, other, train = real_sides(sets, config.size, shape)
        if used(real) < len(real):
            say(f"{real.name}: compared with {used(real):,} of its {len(real):,} images, a random subset")
        return Scorer(load_detector(config, real), real, other, train, group=group)

    return group.everyone(load)


def metric_names(config: ScoreConfig, scorer: Scorer, fakes: Images) -> list[str]:
    """The requested metrics, by default those that fit. Raises InputError if labels are not classes of the detector."""
    asked = asked_metrics(config)
    if isinstance(scorer, StatisticsScorer):
        return scorer.names(asked)
    for name in asked or ():
        _check_needs(name, scorer, fakes)
        if "fake_classes" in METRICS[name].needs and fakes.known:
            places(scorer.real.classes, fakes.known.names, fakes.name)
        if "labels" in METRICS[name].needs and fakes.classes and not tells_apart(scorer.detector, fakes.classes):
            raise InputError(
                f"{name} asks the detector for the classes of {fakes.name}, {first_few(fakes.classes)}, which "
                f"{scorer.detector.name} does not distinguish: leave it out, or choose another --detector"
            )
    return asked or default_metrics(scorer, fakes)


def _check_needs(name: str, scorer: Scorer, fakes: Images) -> None:
    """Raise InputError if a metric needs something that is missing, before any image is drawn."""
    lacking = {
        "train": scorer.train is None,
        "probabilities": not scorer.detector.classifier,
        "labels": fakes.labels(1) is None and not fakes.classes,
        "real_classes": scorer.real.labels is None,
        "fake_classes": fakes.known is None,
    }
    for need in METRICS[name].needs:
        if lacking.get(need):
            whose = scorer.real.name if need == "real_classes" else f"{fakes.name} scored by {scorer.detector.name}"
            raise InputError(
                f"{METRICS[name].labels[0]} needs the {NEEDS[need]}, which {whose} does not have: remove "
                f"{name} from --metrics"
            )


def _check_classes(label: str, scorer: Scorer, fakes: Images, n: int, seed: int) -> None:
    """Raise InputError if some class has too few of the n images, before any image is drawn."""
    real = classes_of(scorer.real)
    assert real is not None and fakes.known is not None, "see _check_needs"
    labels = in_terms_of(scorer.real.classes, fakes.known.labels(n, seed), fakes.known.names, fakes.name)
    per_class.classes_of_both(label, real, labels)


def check_drawn(
    name: str, shape: tuple[int, int, int], classes: tuple[str, ...], config: ScoreConfig, scorer: Scorer
) -> None:
    """Raise InputError if samples of a model that is not trained yet could not be scored; see `_checked`.

    Args:
        shape: (C, H, W) of its images.
        classes: classes that it is conditioned on; () for a model without labels.
    """
    known = Classes(lambda n, seed: np.arange(n) % len(classes), classes) if classes else None
    nothing = Images(name, None, lambda n, seed, group: iter(()), shape=shape, classes=classes, known=known)
    _checked(nothing, config, scorer)


def asked_metrics(config: ScoreConfig) -> list[str] | None:
    """The requested metrics; None to use those that fit the images. Raises InputError for an unknown name."""
    if config.metrics is None:
        return None
    names = [METRICS.named(name) for name in config.metrics]  # FID, as printed, is accepted for fid
    for name in names:
        METRICS[name]
    return list(dict.fromkeys(names))


def load_detector(config: ScoreConfig, real: ImageSet) -> Detector:
    """Load the requested detector; for `auto`, report which one it is and why."""
    wanted = config.detector
    if isinstance(wanted, str) and wanted == "auto":
        wanted, reason = detectors.auto(real.dataset, real.shape, weights=config.inception.weights)
        say(f"detector {wanted}: {reason}")
    return named_detector(config, wanted)


def named_detector(config: ScoreConfig, wanted: Any) -> Detector:
    """Load a detector by name, file or function, with the other detector settings."""
    return detectors.load(
        wanted,
        **vars(config.inception),
        device=config.device,
        compile=config.compile,
    )


def small_scorer(real: ImageSet, device: str) -> Scorer:
    """A scorer with the shipped detector that suits the images, for score curves during training."""
    for name, entry in DETECTORS.items():
        if real.dataset in entry.data:
            return Scorer(detectors.load(name, device=device), real, quiet=True)
    return Scorer(
        detectors.load("fashion-cnn" if real.shape[0] == 1 else "cifar10-cnn", device=device), real, quiet=True
    )


def default_metrics(scorer: Scorer, fakes: Images) -> list[str]:
    """All metrics whose inputs exist, but for those on request; memorization only if the training set's features are
    computed fast.

    Labels are compared with the detector's classes only if generator, detector and real images have the same classes.
    """
    detector = scorer.detector
    memorization = scorer.train is not None and detector.quick
    same_classes = knows_classes(detector, scorer.real) and tells_apart(detector, fakes.classes)
    return [
        name
        for name, metric in METRICS.items()
        if metric.by_default(detector.name)
        and ("train" not in metric.needs or memorization)
        and ("probabilities" not in metric.needs or detector.classifier)
        and ("labels" not in metric.needs or same_classes)
    ]


def real_sides(sets: Sets, size: int | str | None, shape: tuple[int, int, int] | None) -> Sets:
    """Convert the sets of `real_images` to the form in which they are compared with generated images (C, H, W).

    They are resized if requested; RGB images with equal channels become grayscale if the generated images are
    grayscale.
    """
    there = {one.digest: at_size(one, size) for one in sets if one is not None}
    if shape and shape[0] == 1 and all(one.shape[0] == 3 and is_gray(one) for one in there.values()):
        there = {digest: as_gray(one) for digest, one in there.items()}
    real, other, train = sets
    return there[real.digest], other and there[other.digest], train and there[train.digest]


def real_images(config: ScoreConfig, trained: RunRecord | None, run: str = "the run") -> Sets:
    """The real images, those for the baseline, and those that the model was trained on (or None).

    Args:
        trained: run.json of the run that made the images; without `config.real`, its images are the real ones.
        run: name of the run, for messages.
    """
    if is_statistics(config.real):
        raise InputError(f"{config.real} contains mu and sigma and no images: only score can use it as --real")
    split, own = "", trained is not None
    if trained is not None and config.skip_bad:
        trained = replace(trained, config=trained.config.replace({"skip_bad": True}))
    if config.real is not None:
        wanted, split = split_of(config.real)
        found = matching(trained, wanted) if trained else None
        own = found is not None
        parts = found or datasets.load_splits(wanted, **folder_options(wanted, config))
    elif trained is not None:
        wanted, parts = source_of(trained, run), images_of(trained, run)
    else:
        raise InputError("--real is missing: pass the real images to compare with, such as mnist or mnist:train")
    if trained is not None and own:
        parts = _read_again(parts, wanted, config, trained.config)
    split = split or ("test" if "test" in parts else next(iter(parts)))
    if split not in parts:
        name = next(iter(parts.values())).name
        raise InputError(f"{name} has no split {split!r}, only {' and '.join(parts)}")
    other = next((images for name, images in parts.items() if name != split), None)
    # Memorization needs a test set as the real images, and images that the model has seen.
    seen = split == "test" and (trained is None or own)
    return parts[split], other, other if seen else None


def refuse_run(source: Any) -> None:
    """Raise DataError if a path contains runs (which are scored one by one), is part of a run, or does not exist."""
    if isinstance(source, str | os.PathLike):
        place = datasets.locate(source)
        if place.kind == "folder" and place.path is not None:
            glance(place.path, "")


def check_real(config: ScoreConfig) -> None:
    """Raise InputError if `--real` names nothing that images can be compared with."""
    if is_statistics(config.real):
        read(config.real).choice(config)
    else:
        real_images(config, None)


def _read_again(
    parts: dict[str, ImageSet], source: Any, config: ScoreConfig, of_run: ModelSettings
) -> dict[str, ImageSet]:
    """Read a run's training folder again at --size, after it was recognized at the size used for training."""
    if config.size is None or not datasets.locate(source).has_files:
        return parts
    found = datasets.load_splits(source, size=config.size, skip_bad=of_run.skip_bad, holdout=of_run.holdout)
    return {split: replace(images, name=parts[split].name) for split, images in found.items()}


def split_of(wanted: Any) -> tuple[Any, str]:
    """Split `mnist:train` into ("mnist", "train"), and likewise for a path; anything else gives (wanted, "")."""
    name, _, split = wanted.rpartition(":") if isinstance(wanted, str) else ("", "", "")
    of_path = split in ("train", "test") and not os.path.exists(wanted) and is_there(paths.typed(name))
    return (name, split) if name in DATASETS or of_path else (wanted, "")


def folder_options(source: Any, config: ScoreConfig) -> dict[str, Any]:
    """Options for reading a folder of real images: its own size or --size. Other sources take no options."""
    if not datasets.locate(source).has_files:
        return {}
    return {"size": config.size or datasets.NATIVE, "skip_bad": config.skip_bad}
