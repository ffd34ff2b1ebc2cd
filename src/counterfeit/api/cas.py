"""The verb `cas`: what a classifier learns from a conditional model's images, measured on real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterfeit.errors import InputError
from counterfeit.run import Run
from counterfeit.runs import RunFolder
from counterfeit.scoring import Score, judge
from counterfeit.scoring.cas import Labelled
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
    size: int | None = None,
    skip_bad: bool = False,
    device: str = "auto",
) -> Score:
    """Classification Accuracy Score; the Python form of `counterfeit cas`.

    Args:
        source: a Run or its folder, a folder with a subfolder a class, an .npz file with `labels`, or a uint8 array.
        real: "NAME", "NAME:train", "NAME:test", a folder or an .npz file, with labels; by default, for a run, the data
            it was trained on. Without a split it is the test split where there is one.
        n: how many generated images the classifier is trained on, and how many real ones that of the floor.
        labels: integers (N,), for an array.
        seed: of the draw and of the classifier.
        repeats: draws and classifiers of the seeds seed, seed + 1, …; only a run can be drawn from more than once.
        size: side that generated and real images are both brought to; by default they have to be of one size.
        skip_bad: leave out the images of a folder that cannot be used, instead of stopping at the first.
        device: where to compute, but for an opened Run, which has its own.

    Returns:
        The score, `["CAS[small-cnn]"]`; a run keeps it in its scores folder as well.

    Raises:
        InputError: something given is wrong or missing, or there are no labels.
    """
    if isinstance(source, (str, Path)) and RunFolder(source).holds_run():
        source = Run(source, device)
    settings: dict[str, Any] = {"n": n, "seed": seed, "repeats": repeats, "size": size, "skip_bad": skip_bad}
    if isinstance(source, Run):
        if labels is not None:
            raise InputError("labels go only with an array, and a run has its own")
        return source.cas(real, **settings)
    config = ScoreConfig.of({"real": real, "device": device, **settings})
    sets = judge.real_images(config, None)
    images = generated(source, size, skip_bad, labels)
    test, train, _ = judge.real_sides(sets, size, images.shape)
    return measure(Labelled.of_set(paired(images, test)), test, train, config)
