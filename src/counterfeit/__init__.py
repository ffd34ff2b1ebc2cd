"""counterfeit: train image generators on a laptop, and score them reliably.

    import counterfeit as cf
    run = cf.train("vae", data="mnist")
    images = run.sample(64, seed=0)          # uint8 (64, C, H, W)
    run = cf.load("runs/vae-mnist-s0")
    score = run.score()                      # score["FID[mnist-cnn]"].value

The names are imported on first use, so that `import counterfeit` costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from counterfeit.version import __version__

if TYPE_CHECKING:
    from counterfeit.api.cas import cas
    from counterfeit.api.compare import compare
    from counterfeit.api.likelihood import likelihood
    from counterfeit.api.report import report
    from counterfeit.api.sample import sample
    from counterfeit.api.score import score
    from counterfeit.api.stats import stats
    from counterfeit.api.track import track
    from counterfeit.api.train import train
    from counterfeit.data import ImageSet
    from counterfeit.data import load as load_data
    from counterfeit.errors import InputError
    from counterfeit.exploring import Explorer
    from counterfeit.models.plugins import load_plugin
    from counterfeit.run import Run, load
    from counterfeit.scoring import Score

__all__ = [
    "Explorer",
    "ImageSet",
    "InputError",
    "Run",
    "Score",
    "__version__",
    "cas",
    "compare",
    "likelihood",
    "load",
    "load_data",
    "load_plugin",
    "report",
    "sample",
    "score",
    "stats",
    "track",
    "train",
]

_HOMES = {
    "Explorer": ("counterfeit.exploring", "Explorer"),
    "ImageSet": ("counterfeit.data", "ImageSet"),
    "InputError": ("counterfeit.errors", "InputError"),
    "Run": ("counterfeit.run", "Run"),
    "Score": ("counterfeit.scoring", "Score"),
    "cas": ("counterfeit.api.cas", "cas"),
    "compare": ("counterfeit.api.compare", "compare"),
    "load": ("counterfeit.run", "load"),
    "load_data": ("counterfeit.data", "load"),
    "load_plugin": ("counterfeit.models.plugins", "load_plugin"),
    "likelihood": ("counterfeit.api.likelihood", "likelihood"),
    "report": ("counterfeit.api.report", "report"),
    "sample": ("counterfeit.api.sample", "sample"),
    "score": ("counterfeit.api.score", "score"),
    "stats": ("counterfeit.api.stats", "stats"),
    "track": ("counterfeit.api.track", "track"),
    "train": ("counterfeit.api.train", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'counterfeit' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps public names what they are: importing the module `counterfeit.report` would put it in the function's place.

    The module is imported as ever: `from counterfeit.report import render`.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
