"""Make a test of trained runs: their samples, and real images of the test split that none of them was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from counterfeit.data import ImageSet
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.human import images
from counterfeit.human.design import LEAST_FAKES, Design, chosen_real
from counterfeit.human.file import Pool
from counterfeit.human.store import Store
from counterfeit.run import Run
from counterfeit.runs.data import images_of
from counterfeit.scoring import receipt
from counterfeit.system import words
from counterfeit.system.words import first_few


def prepared(runs: Sequence[Run], design: Design, path: str | Path) -> Store:
    """Sample every run and store a test at `path`; who takes it sees real and generated images in the same form.

    Raises InputError: the runs have no test split, or one too small for a rater, were trained on different images, or
    `path` exists.
    """
    test = _test_split(runs)
    if len(runs) != design.models:
        raise InputError(f"the test is of {design.models} models, and {len(runs)} runs were given")
    of_model, of_real = design.pools(len(test))
    rows, halves = chosen_real(test.labels, len(test), of_real, design.seed)
    _check_reals(len(rows), design, runs[0].data.name)
    pools = [Pool(run.sample(of_model, seed=design.sample_seed), run.labels(of_model)) for run in runs]
    real = np.stack([take(test.images, np.array([row]))[0] for row in rows])
    pools.append(Pool(real, None if test.labels is None else test.labels[rows], halves))
    pools.append(Pool(images.noise(test.shape, design.seed)))
    about = {
        "models": {run.name: _of_run(run, of_model, design.sample_seed) for run in runs},
        "real": receipt.of_real(test),
        **receipt.of_code({"human": ("human",), **receipt.DRAWING}),
    }
    places = {run.name: str(run.path) for run in runs}
    return Store.create(path, design, list(places), pools, about, places)


def _check_reals(found: int, design: Design, data: str) -> None:
    """Raise InputError if one rater would see a real image twice."""
    asked, most = design.fakes * design.models, found // design.models
    if found < asked:
        fix = f"choose at most {most} images of each model" if most >= LEAST_FAKES else "choose fewer models"
        raise InputError(
            f"a rater judges {design.fakes} images of each of {words.count(design.models, 'model')} and as many real "
            f"ones, {asked:,}, and the test split of {data} has {found:,} with every class equally often: {fix}"
        )


def _of_run(run: Run, n: int, seed: int) -> receipt.Json:
    return receipt.of_images(run.generated(), n, seed, 1)


def _test_split(runs: Sequence[Run]) -> ImageSet:
    """The test images of all runs. Raises InputError where these are not the same."""
    if not runs:
        raise InputError("no run is chosen: a human test needs one or more")
    paths = [run.path for run in runs]
    if twice := [str(path) for path in dict.fromkeys(paths) if paths.count(path) > 1]:
        raise InputError(f"{first_few(twice)} is chosen twice: choose each run once")
    first = runs[0]
    for run in runs[1:]:
        if (run.data.digest, run.data.shape) != (first.data.digest, first.data.shape):
            raise InputError(
                f"{run.name} was trained on {run.data.name} and {first.name} on {first.data.name}, not the same "
                "images: a test is of runs of one data set, so that all are held against the same real images"
            )
    splits = images_of(first.record, first.name, fix="restore it")
    if "test" not in splits:
        raise InputError(
            f"{first.data.name} has no test split, and people must not judge images that a model was trained on: "
            "train with --holdout 0.1, which holds some back"
        )
    return splits["test"]
