"""matplotlib, independent of the user's own settings: backend, LaTeX, fonts, colors.

All drawing code imports matplotlib from here. pyplot is not used: it would choose a backend and keep every figure.
"""

from __future__ import annotations

import importlib.util
import io
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast
from unittest.mock import patch


def _import_whatever_the_settings() -> None:
    """Import matplotlib; if the user's backend or settings file makes that fail, import it without these two."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise
    except Exception:
        found = importlib.util.find_spec("matplotlib")
        assert found is not None and found.origin is not None
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # only partly imported
        own = Path(found.origin).parent / "mpl-data" / "matplotlibrc"
        with patch.dict(os.environ, {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(own)}):
            import matplotlib  # noqa: F401


_import_whatever_the_settings()

import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.axis import Axis  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.markers import MarkerStyle  # noqa: E402
from matplotlib.path import Path as Outline  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator  # noqa: E402

__all__ = [
    "Axes",
    "Axis",
    "Figure",
    "MarkerStyle",
    "MaxNLocator",
    "Outline",
    "Sheet",
    "figure",
    "logarithmic",
    "scaled",
    "sheet",
]

_LOCK = threading.RLock()  # matplotlib's settings are global, and several of our threads draw at the same time
WIDE_RANGE = 8  # ratio of the largest to the smallest value from which a logarithmic axis is used
PLAIN = FuncFormatter(lambda value, _: f"{value:,.6g}")  # text.parse_math is off, so that powers would be seen as TeX
_CANVASES = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG}


@contextmanager
def figure(kind: str, settings: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Figure]:
    """A figure to draw on and to save within the block, in which matplotlib's defaults and `settings` hold.

    Args:
        kind: file format in which it will be saved, "png" or "svg".
        settings: rcParams on top of matplotlib's defaults. A "$" in a text never starts a formula.
        **options: options of `matplotlib.figure.Figure`.
    """
    with _settled(settings or {}):
        made = Figure(**options)
        _CANVASES[kind](made)  # used for saving, whatever backend is set
        yield made


@contextmanager
def _settled(settings: Mapping[str, Any]) -> Iterator[None]:
    """A block in which matplotlib's defaults hold, and `settings` on top of them."""
    with _LOCK, warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # for a name in letters that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        matplotlib.rcParams.update(cast(Any, settings))
        yield


class Sheet(Figure):
    """A figure to hand out, which a notebook shows whether pyplot is used there or not."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with _settled({}):
            self.savefig(buffer, format="png")
        return buffer.getvalue()


@contextmanager
def sheet(**options: Any) -> Iterator[Sheet]:
    """A figure to draw on within the block and to hand out after it; `options` are those of matplotlib's Figure."""
    with _settled({}):
        made = Sheet(**options)
        FigureCanvasAgg(made)
        yield made


def scaled(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """Use a logarithmic axis if all values are positive and far apart, otherwise a linear one; with plain numbers."""
    finite = [v for v in values if math.isfinite(v)] or [1.0]
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = min(finite), max(finite)
    if low > 0 and high / low >= WIDE_RANGE:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        logarithmic(axis, high / low)
    else:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PLAIN)


def logarithmic(axis: Axis, ratio: float) -> None:
    """Plain numbers as the labels of an axis that spans a ratio."""
    axis.set_major_locator(LogLocator(subs=(1.0,) if math.log10(ratio) > 2.5 else (1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(PLAIN)
