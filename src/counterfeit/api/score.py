"""The command `score`: compare generated images with real ones."""

from __future__ import annotations

from typing import Any

from counterfeit.run import Run, is_run
from counterfeit.scoring import Score, judge
from counterfeit.settings import ScoreConfig
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone


@checked
@alone
def score(source: Any, real: Any = None, **settings: Any) -> Score:
    """Score generated images; the Python form of `counterfeit score`.

    Args:
        source: a Run or its folder, a folder of images, an .npz file, a uint8 array, or a callable (n, seed) -> n uint8
            images.
        real: "NAME", "NAME:train", "NAME:test", a folder, an .npz file or an array; by default, for a run, the data it
            was trained on. Without a split name, the test split is used if there is one.
        **settings: fields of `ScoreConfig`; `detector` may also be a callable (uint8 tensor (B, C, H, W) -> (B, D)),
            `metrics` a list of names.

    Returns:
        The score, which is also saved in the scores folder of a run.

    Raises:
        InputError: an argument is wrong or missing.
    """
    if isinstance(source, Run):
        return source.score(real, **settings)
    if is_run(source):
        return Run(source, settings.get("device", "auto")).score(real, **settings)
    return judge.score(source, ScoreConfig.of({"real": real, **settings}))
