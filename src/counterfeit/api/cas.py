"""The verb `cas`: what a classifier learns from a conditional model's images, measured on real ones."""

from __future__ import annotations

from typing import Any

from counterfeit.errors import InputError
from counterfeit.run import Run, is_run
from counterfeit.scoring import Score, judge
from counterfeit.scoring.cas import Labeled
from counterfeit.scoring.cas import cas as measure
from counterfeit.scoring.images import generated, paired
from counterfeit.settings import ScoreConfig
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone


@checked
@alone
def cas(
    source: Any,
    real: Any = None,
    n: int = 10_000,
    *,
    labels: Any = None,
    seed: int = 0,
    repeats: int = 1,
    size: int | str | None = None,
    skip_bad: bool = False,
    device: str = "auto",
) -> Score:
    """Classification Accuracy Score; the Python form of `counterfeit cas`.

    Args:
        source: a Run or its folder, a folder with one subfolder per class, an .npz file with `labels`, or an array.
        real: "NAME", "NAME:train", "NAME:test", a folder or an .npz file, with labels; by default, for a run, the data
            it was trained on. Without a split name, the test split is used if there is one.
        n: number of generated images to train the classifier on, and of real images for the baseline classifier.
        labels: integers (N,), for an array.
        seed: random seed of the samples and of the classifier.
        repeats: number of repetitions, with seeds seed, seed + 1, …; more than one needs a run.
        size: side length, or "HxW", to which generated and real images are resized; by default both must have the
            same size.
        skip_bad: skip images of a folder that cannot be read, instead of stopping at the first one.
        device: device to compute on; a Run that is already open uses its own.

    Returns:
        The score, `["CAS[small-cnn]"]`; it is also saved in the scores folder of a run.

    Raises:
        InputError: an argument is wrong or missing, or there are no labels.
    """
    if is_run(source):
        source = Run(source, device)
    settings: dict[str, Any] = {"n": n, "seed": seed, "repeats": repeats, "size": size, "skip_bad": skip_bad}
    if isinstance(source, Run):
        if labels is not None:
            raise InputError("labels= is only for an array; a run has its own labels")
        return source.cas(real, **settings)
    config = ScoreConfig.of({"real": real, "device": device, **settings})
    sets = judge.real_images(config, None)
    images = generated(source, size, skip_bad, labels)
    test, train, _ = judge.real_sides(sets, size, images.shape)
    return measure(Labeled.of_set(paired(images, test)), test, train, config)
