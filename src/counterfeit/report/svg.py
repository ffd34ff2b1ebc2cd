"""Charts as SVG for embedding in an HTML page: colors and fonts follow the page, in light and dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from counterfeit.system.drawing import Axes, Figure, MarkerStyle, Outline, figure

WIDTH = 360  # page pixels: as wide as a small phone, so that text keeps its size there
DOTS = 72  # SVG units per inch, in matplotlib

# Placeholder colors that no chart uses otherwise; in the page they become CSS variables.
INK, QUIET, RULE, PAPER = "#010101", "#010102", "#010103", "#010104"
COLORS = [f"#0102{i:02x}" for i in range(7)]  # Okabe-Ito, without yellow, which is hard to see on white
_VARIABLES = {INK: "ink", QUIET: "quiet", RULE: "rule", PAPER: "paper"} | {c: f"c{i}" for i, c in enumerate(COLORS)}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_NUMBER = re.compile(r"(\d+\.\d\d)\d+")  # more decimals than a screen shows
DASHES = ("-", "--", ":", "-.")

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # keep text as text
    "font.size": 11,
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": RULE,
    "xtick.labelcolor": QUIET,
    "ytick.color": RULE,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 7,
}


@dataclass(frozen=True)
class Style:
    """How a model looks in every chart. The first 56 styles all differ in color or marker.

    Attributes:
        color: placeholder for the page's CSS variable.
        marker: matplotlib's name for it.
    """

    color: str
    marker: str

    @classmethod
    def of(cls, place: int) -> Style:
        return cls(COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)])

    def swatch(self) -> Markup:
        """The marker as a small SVG for a legend."""
        shape = _path_data(self.marker)
        return Markup(
            '<svg class="swatch" viewBox="-9 -9 18 18" aria-hidden="true">'
            f'<path d="{shape}" fill="var(--{_VARIABLES[self.color]})"/></svg>'
        )


def line_swatch(color: str, dash: str) -> Markup:
    """A short piece of line as SVG for a legend."""
    dashes = {"-": "none", "--": "6 3", ":": "2 3", "-.": "6 3 2 3"}[dash]
    return Markup(
        '<svg class="swatch wide" viewBox="0 0 28 18" aria-hidden="true"><path d="M0 9H28" fill="none" '
        f'stroke="var(--{_VARIABLES[color]})" stroke-width="2.5" stroke-dasharray="{dashes}"/></svg>'
    )


@contextmanager
def chart(name: str, *heights: float) -> Iterator[tuple[list[Axes], list[Markup]]]:
    """Yield axes to draw on, one above the other, and a list that holds the finished SVG after the block.

    Args:
        name: unique within the page; keeps the ids of markers apart.
        heights: heights of the axes in page pixels; the width is WIDTH.
    """
    done: list[Markup] = []
    size = (WIDTH / DOTS, sum(heights) / DOTS)
    with figure("svg", {**_SETTINGS, "svg.hashsalt": name}, figsize=size, layout="constrained") as sheet:
        axes = list(sheet.subplots(len(heights), 1, height_ratios=heights, sharex=True, squeeze=False)[:, 0])
        for one in axes:
            one.set_axisbelow(True)
        yield axes, done
        done.append(_svg(sheet))


def _svg(sheet: Figure) -> Markup:
    """The figure as an <svg> element without size, fonts, group ids, metadata, namespaces; colors become variables."""
    buffer = io.StringIO()
    sheet.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<g id=\"[^\"]*\"/>", "", text)
    text = re.sub(r"<g id=\"[^\"]*\">", "<g>", text)  # charts in one page would share these ids; nothing refers to them
    text = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"| version=\"1.1\"", "", text).replace("xlink:href", "href")
    text = re.sub(r"<svg width=\"[^\"]*\" height=\"[^\"]*\"", '<svg aria-hidden="true"', text)
    text = text.replace(' target="_blank"', "")
    text = re.sub(r" ?font-family: [^;\"]*;?", "", text)
    text = re.sub(r' style="([^"]*)"', _attributes, text)
    text = re.sub(r" (d|x|y|transform)=\"[^\"]*\"", lambda found: _NUMBER.sub(r"\1", found[0]), text)
    for stand_in, name in _VARIABLES.items():
        text = text.replace(stand_in, f"var(--{name})")
    return Markup(re.sub(r"\s*\n\s*", "\n", text))


def _attributes(style: re.Match[str]) -> str:
    """A style as attributes of its own: pages whose policy forbids inline styles show these."""
    pairs = (part.split(":") for part in style[1].split(";") if part.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)


def _path_data(marker: str) -> str:
    """A marker's outline as SVG path data, about 14 units wide."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform())
    letters = {
        Outline.MOVETO: "M",
        Outline.LINETO: "L",
        Outline.CURVE3: "Q",
        Outline.CURVE4: "C",
        Outline.CLOSEPOLY: "Z",
    }
    parts = []
    for points, code in path.iter_segments():
        numbers = (
            ""
            if code == Outline.CLOSEPOLY
            else " ".join(f"{v * s * 13:.1f}" for v, s in zip(points, (1, -1) * 3, strict=False))
        )
        parts.append(f"{letters[code]}{numbers}")
    return "".join(parts)
