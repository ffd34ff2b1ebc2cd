"""counterfeit: train image generators on a laptop, and score them with numbers that can be trusted.

    import counterfeit as cf
    run = cf.train("vae", data="mnist")
    images = run.sample(64, seed=0)          # uint8 (64, C, H, W)
    run = cf.load("runs/vae-mnist-s0")
    score = run.score()                      # score["FID[mnist-cnn]"].value

The names are imported on first use, so that `import counterfeit` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterfeit.version import __version__

if TYPE_CHECKING:
    from counterfeit.data import ImageSet
    from counterfeit.data import load as load_data
    from counterfeit.errors import InputError
    from counterfeit.run import Run, load
    from counterfeit.scoring import Score
    from counterfeit.verbs.cas import cas
    from counterfeit.verbs.compare import compare
    from counterfeit.verbs.score import score
    from counterfeit.verbs.stats import stats
    from counterfeit.verbs.train import train

__all__ = [
    "ImageSet",
    "InputError",
    "Run",
    "Score",
    "__version__",
    "cas",
    "compare",
    "load",
    "load_data",
    "score",
    "stats",
    "train",
]

_HOMES = {
    "ImageSet": ("counterfeit.data", "ImageSet"),
    "InputError": ("counterfeit.errors", "InputError"),
    "Run": ("counterfeit.run", "Run"),
    "Score": ("counterfeit.scoring", "Score"),
    "cas": ("counterfeit.verbs.cas", "cas"),
    "compare": ("counterfeit.verbs.compare", "compare"),
    "load": ("counterfeit.run", "load"),
    "load_data": ("counterfeit.data", "load"),
    "score": ("counterfeit.verbs.score", "score"),
    "stats": ("counterfeit.verbs.stats", "stats"),
    "train": ("counterfeit.verbs.train", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'counterfeit' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
