"""Read the images that a run was trained on again. All code that needs them uses the rule in this module.

They are found by kind and absolute path, and accepted only if the digest of the training split is the one in run.json.
If they are missing or have changed, this is an error; they are never replaced by other data with the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from counterfeit import data as datasets
from counterfeit.data import DATASETS, ImageSet, binarize
from counterfeit.data.own import held_out, held_out_rows
from counterfeit.data.place import AT_PATHS, is_there
from counterfeit.data.rows import Rows
from counterfeit.data.stored import is_whole
from counterfeit.errors import DataError, RunError
from counterfeit.models import ModelSettings
from counterfeit.runs.folder import DataRecord, RunRecord
from counterfeit.system import paths
from counterfeit.system.arguments import shown

FIX = "restore it, or pass --real"


def images_of(run: RunRecord, where: str, place: Any = None, fix: str = FIX) -> dict[str, ImageSet]:
    """The splits of the images that a run was trained on, by name; "train" is always among them.

    Args:
        run: run.json of the run.
        where: the run, for messages.
        place: where the images are now, or an array; by default where they were during training.
        fix: end of the error message, which says how to fix it.

    Raises:
        DataError: the images are missing, or have changed.
    """
    source = source_of(run, where, fix) if place is None else place
    try:
        found = datasets.load_splits(source, **_options(run.config, source))
    except DataError as error:
        raise DataError(f"the images that {where} was trained on cannot be read: {error}") from error
    check(run, where, found["train"], fix)
    if place is None:  # show the name as typed at that time
        return {split: replace(images, name=run.data.name) for split, images in found.items()}
    return found


def check(run: RunRecord, where: str, train: ImageSet, fix: str = FIX) -> None:
    """Raise DataError if these are not the images that the run was trained on."""
    if train.digest != run.data.digest:
        raise DataError(
            f"{where} was trained on other images: {train.name} has changed since then, or is another ({len(train):,} "
            f"training images found, {run.data.n:,} recorded{', of other content' * (len(train) == run.data.n)}); "
            f"{fix}"
        )


def matching(run: RunRecord, place: Any) -> dict[str, ImageSet] | None:
    """The splits of the data that a user names if the run was trained on it, wherever it is now; else None."""
    config, source = run.config, datasets.locate(place)
    if source.kind == "dataset" and (run.data.kind, run.data.name) != ("dataset", source.name):
        return None
    if config.holdout and "test" in datasets.splits(place):
        return None
    options = {**_options(config, place), "holdout": 0.0}
    found = datasets.load_splits(place, **options)
    if config.holdout:
        whole = next(iter(found.values()))
        if len(held_out_rows(len(whole), config.holdout)["train"]) != run.data.n:
            return None
        found = held_out(whole, config.holdout)
    return found if "train" in found and found["train"].digest == run.data.digest else None


def source_of(run: RunRecord, where: str, fix: str = FIX) -> str:
    """Where the run's images are: a data set's name or a path. Raises DataError if missing, or if it was an array."""
    of = run.data
    if of.kind == "array":
        raise DataError(
            f"--real is missing: {where} was trained on an array, which a run does not store; "
            "pass it as real= in Python, or pass other images"
        )
    if of.kind == "dataset":
        if of.name not in DATASETS:
            raise DataError(f"{where} was trained on {shown(of.name)}, which is not a data set here; {fix}")
        return of.name
    # If a whole project was moved, the path as typed is still right, relative to the current folder.
    for path in (of.path, paths.absolute(run.config.data)):
        if path is not None and is_there(paths.typed(path)):
            return paths.typed(path)
    raise DataError(
        f"the images that {where} was trained on do not exist any more: there is no {of.path or of.name}; {fix}"
    )


def same_place(record: RunRecord, data: str) -> bool:
    """Whether `data`, a name or path, is where the run's images were; reads nothing."""
    of = record.data
    if of.kind in ("dataset", "array") or data in DATASETS:
        return of.kind not in AT_PATHS and data == record.config.data
    return paths.same(data, of.path or record.config.data)


def to_train_on(
    config: ModelSettings, earlier: RunRecord | None, where: str, array: Any, labels: Any
) -> tuple[ImageSet, Callable[[], ImageSet | None]]:
    """The training images, and a function that returns the test images, or None if there are none.

    Args:
        config: settings of the run.
        earlier: run.json of the run to resume; the images must be the same, but may have moved.
        where: the run's folder, for messages.
        array, labels: images that replace config.data.

    Raises:
        DataError: the images cannot be used, or are not those of the earlier run.
    """
    if isinstance(array, ImageSet) and array.kind in AT_PATHS:  # in memory: its source does not matter
        array = replace(array, kind="array")
    if earlier is None:
        source = config.data if array is None else array
        options = {"labels": labels, "size": config.size, "skip_bad": config.skip_bad, "holdout": config.holdout}
        wanted = [split for split in ("train", "test") if split in datasets.splits(source, config.holdout)]
        if config.holdout:  # read only once for both
            both = datasets.load_splits(source, wanted, **options)
            return both["train"], lambda: both["test"]
        train = datasets.load(source, **options)
        return train, lambda: datasets.load(source, "test", **options) if "test" in wanted else None
    place: Any = None if array is None else datasets.load(array, labels=labels)
    if array is None and config.data != earlier.config.data:
        place = config.data
    if earlier.data.kind == "array" and place is None:
        raise RunError(f"{where} was trained on an array: pass the same array as data= to continue it")
    run = replace(earlier, config=config)  # skip_bad may have changed
    found = images_of(
        run, where, place, "restore it, name by --data where it is now, or train again into another --out"
    )
    return found["train"], lambda: found.get("test")


def record_of(train: ImageSet, config: ModelSettings, earlier: RunRecord | None) -> DataRecord:
    """The entry in run.json that describes the images and where they are now.

    `earlier` is run.json of the run to resume, if any.
    """
    path = None
    if train.kind in AT_PATHS:
        as_before = earlier and config.data == earlier.config.data
        path = str(paths.absolute(source_of(earlier, "the run") if earlier and as_before else config.data))
    return DataRecord(train.name, train.split, len(train), train.shape, train.classes, train.digest, train.kind, path)


def _options(config: ModelSettings, source: Any) -> dict[str, Any]:
    """The options with which a run reads its images; size and skip_bad are for image files only."""
    of_files = {"size": config.size, "skip_bad": config.skip_bad} if datasets.locate(source).has_files else {}
    return {**of_files, "holdout": config.holdout}


def to_encode(images: ImageSet, config: ModelSettings, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Which images to encode, sorted rows (N,) of at most `most` (of more, always the same ones), and all pixels.

    The pixels, (M, C, H, W), are binarized where a model of these settings was trained on such.
    """
    rows = np.arange(len(images))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return rows, evaluated(images, config)


def evaluated(images: ImageSet, config: ModelSettings) -> np.ndarray:
    """The pixels as losses and codes are asked of them outside the steps, (N, C, H, W): with --binarize, fixed draws.

    Those of a stored file are read through the file, which is looked at, and not through its map, which is not.
    """
    pixels = images.images
    if is_whole(pixels):
        pixels = cast(np.ndarray, Rows(pixels, np.arange(len(pixels))))
    return pixels if config.binarization == "none" else binarize.fixed(pixels, images.split)
