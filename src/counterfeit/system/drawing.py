"""matplotlib, apart from what the user's own settings would make of it: another backend, LaTeX, fonts, colors.

Whoever draws takes it from here. pyplot is not used: it would choose a backend, and keep every figure.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch


def _import_whatever_the_settings() -> None:
    """Import matplotlib; where a backend or a settings file of the user's stops that, without these two."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise
    except Exception:
        found = importlib.util.find_spec("matplotlib")
        assert found is not None and found.origin is not None
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # half imported
        own = Path(found.origin).parent / "mpl-data" / "matplotlibrc"
        with patch.dict(os.environ, {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(own)}):
            import matplotlib  # noqa: F401


_import_whatever_the_settings()

import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.markers import MarkerStyle  # noqa: E402
from matplotlib.path import Path as Outline  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator  # noqa: E402

__all__ = [
    "Axes",
    "Figure",
    "FuncFormatter",
    "LogLocator",
    "MarkerStyle",
    "MaxNLocator",
    "NullFormatter",
    "NullLocator",
    "Outline",
    "figure",
]

_LOCK = threading.RLock()  # matplotlib's settings are the process's, and threads of ours draw at the same time
_CANVASES = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG}


@contextmanager
def figure(kind: str, settings: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Figure]:
    """A figure to draw on and to save while the block runs, in which matplotlib's defaults and `settings` hold.

    Args:
        kind: "png" or "svg", in which it will be saved.
        settings: by matplotlib's names, on top of its defaults. A "$" in a text is never a formula.
        **options: of `matplotlib.figure.Figure`.
    """
    with _LOCK, warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name in letters that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        matplotlib.rcParams.update(cast(Any, settings or {}))
        made = Figure(**options)
        _CANVASES[kind](made)  # by which it is saved, whatever backend is set
        yield made
