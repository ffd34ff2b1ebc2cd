"""Charts show the numbers that they are given: every point is read back from its SVG, by the axes' own ticks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

from counterfeit.report import charts
from counterfeit.report.charts import Line, Series
from counterfeit.report.svg import COLORS, Style

VAE, GAN = Style.of(0), Style.of(1)
USE = re.compile(r'<use href="#\w+" x="([\d.]+)" y="([\d.]+)" fill="var\(--(\w+)\)" stroke="var\(--(\w+)\)"')
TICK = re.compile(r'text-anchor="(middle|end)" fill="var\(--\w+\)" x="([\d.]+)" y="([\d.]+)"[^>]*>([\d.,]+)<')
DASHED = re.compile(r'<path d="M ([\d.]+) ([\d.]+)\s*L ([\d.]+) ([\d.]+)[^"]*"[^>]*stroke-dasharray')


class Scale:
    """From places along an axis to values, by two of its ticks; linear, or in the logarithm."""

    def __init__(self, svg: str, which: str, log: bool = False) -> None:
        self.log, at = log, 1 if which == "x" else 2
        rows = [found for found in TICK.findall(svg) if (found[0] == "middle") == (which == "x")]
        ticks = sorted((float(row[at]), float(row[3].replace(",", ""))) for row in rows)
        (self.low, self.first), (self.high, self.last) = ticks[0], ticks[-1]

    def __call__(self, place: float) -> float:
        part = (place - self.low) / (self.high - self.low)
        if self.log:
            return self.first * (self.last / self.first) ** part
        return self.first + (self.last - self.first) * part


def marks(svg: str) -> list[tuple[float, float, str, str]]:
    """x and y in the picture, fill and edge of every marker but the ticks."""
    found = [(float(x), float(y), fill, edge) for x, y, fill, edge in USE.findall(svg)]
    return [mark for mark in found if mark[2] != "rule"]


def close(values: Sequence[float]) -> object:
    return pytest.approx(values, rel=1e-2, abs=1e-2)  # places have two decimals


def test_a_strip_has_a_point_a_seed_and_the_mean_in_figures() -> None:
    svg = str(charts.strip("FID", [Series("vae", VAE, [1.0, 2.0, 3.0]), Series("gan", GAN, [2.5, 3.8])], 1.5))
    x, found = Scale(svg, "x"), marks(svg)
    assert [x(mark[0]) for mark in found] == close([1.0, 2.0, 3.0, 2.5, 3.8])
    assert [mark[2] for mark in found] == ["c0"] * 3 + ["c1"] * 2
    assert len({mark[1] for mark in found[:3]}) == 1 and found[0][1] < found[3][1], "a row each, in the table's order"
    assert re.findall(r">([^<>\n]+)</text>", svg)[-4:] == ["vae", "gan", "2", "3.15"]
    ((left, _, right, _),) = DASHED.findall(svg)
    assert left == right and x(float(left)) == pytest.approx(1.5, rel=1e-2)


def test_a_floor_out_of_sight_is_an_arrow_and_leaves_the_axis_to_the_models() -> None:
    rows = [Series("vae", VAE, [100.0, 101.0]), Series("gan", GAN, [120.0])]
    near, far = (str(charts.strip("FID", rows, floor)) for floor in (50.0, 0.86))
    assert DASHED.search(near) and "◂" not in near
    assert not DASHED.search(far) and "◂ 0.86" in far
    assert Scale(far, "x").first >= 100 > Scale(near, "x").first


def test_values_that_are_far_apart_are_on_a_logarithmic_axis() -> None:
    svg = str(charts.strip("FID", [Series("vae", VAE, [1.0, 10.0, 1000.0])], None))
    x = Scale(svg, "x", log=True)
    assert [math.log10(x(mark[0])) for mark in marks(svg)] == close([0.0, 1.0, 3.0])


def test_a_plane_has_a_point_a_seed_and_the_floor_where_lines_cross() -> None:
    pair = Series("vae", VAE, [0.2, 0.4]), Series("vae", VAE, [0.9, 0.7])
    svg = str(charts.plane("PR", [pair], (0.8, 0.6), "Recall", "Precision"))
    x, y = Scale(svg, "x"), Scale(svg, "y")
    # The letters of a vertical tick stand a little below it, all by the same distance, which is taken from the first.
    below = y(marks(svg)[0][1]) - 0.9
    assert [x(mark[0]) for mark in marks(svg)] == close([0.2, 0.4])
    assert [y(mark[1]) - below for mark in marks(svg)] == close([0.9, 0.7])
    upright, level = DASHED.findall(svg)
    assert x(float(upright[0])) == x(float(upright[2])) == pytest.approx(0.8, abs=1e-2)
    assert y(float(level[1])) - below == pytest.approx(0.6, abs=1e-2)


def test_the_best_of_a_curve_is_hollow_the_last_filled_and_the_test_value_a_dot() -> None:
    line = Line([1, 2, 3, 4], [8.0, 3.0, 5.0, 6.0], COLORS[2], dot=7.0, marker="s")
    svg = str(charts.curves("FID", [[line]], "FID", 200))
    x, found = Scale(svg, "x"), marks(svg)
    assert [(round(x(mark[0])), *mark[2:]) for mark in found] == [
        (4, "c2", "ink"),  # on the test set
        (4, "c2", "c2"),
        (2, "paper", "c2"),
    ]
    dot, last, best = (mark[1] for mark in found)
    assert dot < last < best, "the larger, the higher"


def test_the_last_is_hollow_where_it_is_the_best() -> None:
    svg = str(charts.curves("FID", [[Line([1, 2], [2.0, 1.0], COLORS[0], marker="o")]], "FID", 200))
    assert [mark[2] for mark in marks(svg)] == ["c0", "paper"]


def test_terms_of_another_size_have_a_panel_of_their_own() -> None:
    loss, kl, other = (Line([1, 2], [y, y], COLORS[0]) for y in (100.0, 4.0, 60.0))
    assert charts.panels_of([loss, kl, other]) == [[loss, other], [kl]]
    assert charts.panels_of([loss, other]) == [[loss, other]]


def test_the_frontier_has_a_point_a_seed_and_labels_what_nothing_beats() -> None:
    """In 10 minutes `slow` is no better than `gan` in 2: it is drawn, and is not on the line."""
    places = {
        "vae": ([1.0, 1.2], [200.0, 220.0]),
        "slow": ([10.0], [50.0]),
        "gan": ([2.0], [40.0]),
        "flow": ([50.0], [4.0]),
    }
    rows = [tuple(Series(name, Style.of(i), v) for v in both) for i, (name, both) in enumerate(places.items())]
    svg = str(charts.frontier("f", rows, 1.0, "minutes", "FID"))  # type: ignore[arg-type]
    x, y, found = Scale(svg, "x", log=True), Scale(svg, "y", log=True), marks(svg)
    assert [x(mark[0]) for mark in found] == pytest.approx([1.0, 1.2, 10, 2, 50], rel=0.02)
    ((_, floor, _, _),) = DASHED.findall(svg)  # a tick's text stands below its tick: places count from the baseline
    assert [y(mark[1]) / y(float(floor)) for mark in found] == pytest.approx([200, 220, 50, 40, 4], rel=0.02)
    labels = re.findall(r">([a-z]+)</text>", svg)
    assert {"vae", "gan", "flow", "minutes"} == set(labels)


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(3, 1), (1, 3), (2, 2)], [1, 2, 0]),
        ([(1, 1), (2, 2), (0, 5)], [2, 0]),
        ([(1, 2), (1, 1)], [1]),  # as quick and better
        ([(1, 1), (2, 1)], [0]),  # as good and slower
    ],
)
def test_undominated_points_are_those_that_no_other_beats(points: list[tuple[float, float]], kept: list[int]) -> None:
    assert charts.undominated(points) == kept
