"""Quality against minutes, of all grids: the first table of the README, and its picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
from adjustText import adjust_text

from counterfeit.report.charts import undominated
from counterfeit.system.words import plus_minus

from . import minutes
from .scores import GRIDS, PICTURES, named, picture
from .text import Json, markdown, real_images, seeds

DATA = ("mnist", "fashion-mnist", "cifar10")
SHOWN = ("FID", "KID", "Precision", "Recall")
OF_FAMILY = ("Precision", "Recall", "Label-accuracy")
FAMILIES = {  # of the tour, in its order
    "autoencoders": ("ae", "vae", "cvae", "conv-vae", "beta-vae"),
    "codes": ("vq-vae",),
    "games": ("gan", "lsgan", "cgan", "dcgan"),
    "critics": ("wgan", "wgan-gp", "sngan", "r3gan"),
    "labels": ("cvae", "cgan", "acgan", "csngan", "cr3gan", "cflow"),
    "both": ("vae-gan",),
    "noise": ("flow", "cflow", "ddpm"),
}

LABELED = "labels"  # the family of conditional models, which have a CAS

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.patheffects import withStroke  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator  # noqa: E402


def rows_of(results: Json, data: str) -> Iterator[tuple[Json, Json]]:
    """The rows of a data set in all grids, best first, each with its table."""
    found = [
        (table, row)
        for grid in GRIDS
        for table in results.get(grid, {"tables": []})["tables"]
        if table["data"] == data
        for row in table["rows"]
    ]
    yield from sorted(found, key=lambda pair: pair[1]["metrics"][named(pair[0], "FID")]["mean"])


def of_data(results: Json, data: str) -> str:
    """All models on one data set, best first, and real images."""
    rows = list(rows_of(results, data))
    table = rows[0][0]
    names = [named(table, label) for label in SHOWN]
    lines = [["model", "minutes", names[0], "KID", "precision", "recall", "seeds"]]
    for _, row in rows:
        scores = [plus_minus(row["metrics"][name]) for name in names]
        page = row["model"].removesuffix("-tuned")
        cells = [minutes.in_words(results, row, data), *scores, seeds(results, row)]
        lines.append([f"[`{minutes.named(row)}`](docs/models/{page}.md)", *cells])
    lines.append(["real images", "", *(real_images(table, name) for name in names), ""])
    return markdown(lines)


def of_family(results: Json, family: str) -> str:
    """The models of a family on MNIST, as the tour takes them, and samples of each; only what was measured."""
    found = ((table, row) for table, row in rows_of(results, "mnist") if minutes.named(row) == row["model"])
    by = {row["model"]: (table, row) for table, row in found}
    cas = {row["model"]: row for row in results["cas"]["rows"] if row["data"] == "mnist"} if family == LABELED else {}
    last = ["CAS"] if cas else []
    lines = [["model", "minutes", "FID[mnist-cnn]", "precision", "recall", "label accuracy", *last, "seeds"]]
    for model in FAMILIES[family]:
        if model in by:
            table, row = by[model]
            scores = [plus_minus(row["metrics"].get(f"{name}[mnist-cnn]")) for name in ("FID", *OF_FAMILY)]
            took = minutes.in_words(results, row, "mnist")
            learned = [of_cas(cas.get(model)) for _ in last]
            lines.append([f"[`{model}`]({model}.md)", took, *scores, *learned, seeds(results, row)])
    if len(lines) == 1:
        return "Not measured yet: `make frontier` is on its way there.\n"
    shown = {row["model"]: row for _, row in by.values() if row["model"] in FAMILIES[family]}
    names = [model for model in FAMILIES[family] if model in shown]
    grids = [f"![samples of {name}]({PICTURES}/{picture(shown[name], 'mnist')})" for name in names]
    return "\n".join([markdown(lines), markdown([[f"`{name}`" for name in names], grids])])


def of_cas(row: Json | None) -> str:
    return "–" if row is None else plus_minus({"mean": row["value"], "std": row["uncertainty"]})


def cas(results: Json, which: str) -> str:
    """What a classifier learns from each conditional model's samples, and from as many real images."""
    lines = [["data", "model", "n", "CAS[small-cnn]", "real images"]]
    for row in sorted(results["cas"]["rows"], key=lambda row: (row["data"] != "mnist", row["data"], -row["value"])):
        name = f"[`{row['model']}`](models/{row['model']}.md)"
        lines.append([row["data"], name, f"{row['n']:,}", of_cas(row), f"{row['real']:.4f}"])
    return markdown(lines)


def draw(results: Json, data: str, path: Path) -> None:
    """A point for every model, its name, and a line along those that nothing beats in both."""
    points = []
    for table, row in rows_of(results, data):
        took, score = minutes.of(results, row, data), row["metrics"][named(table, "FID")]
        if took is not None:
            points.append((took, score["mean"], minutes.named(row), score["std"] or 0.0))
    if not points:
        return
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    best = set(undominated([(x, y) for x, y, _, _ in points]))
    edge = sorted(points[place][:2] for place in best)
    axes.plot(*zip(*edge, strict=True), color="0.6", linewidth=1.2, drawstyle="steps-post", zorder=1)
    for place, (x, y, _, spread) in enumerate(points):
        color = "#0072b2" if place in best else "0.45"
        axes.errorbar(x, y, yerr=spread, fmt="o", color=color, markersize=5, elinewidth=1, zorder=2)
    table = next(rows_of(results, data))[0]
    axes.axhline(table["floors"][named(table, "FID")], color="0.6", linestyle="--", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="minutes of training on 2 CPU cores", ylabel=named(table, "FID"))
    axes.set_xlim(right=1.45 * max(x for x, *_ in points))  # room for the last name, and for the highest
    axes.set_ylim(top=4 * max(y for _, y, *_ in points))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.grid(color="0.9")
    axes.set_title(f"{data}: the best score for the minutes (line), real images (dashed)", fontsize=10)
    figure.draw_without_rendering()  # margins are found once, before there are names
    figure.set_layout_engine("none")
    _name(axes, [(x, y, name, "#0072b2" if i in best else "0.45") for i, (x, y, name, _) in enumerate(points)])
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _name(axes: Axes, points: list[tuple[float, float, str, str]]) -> None:
    """Write names beside points: none over another, and a line where one had to move away from its point."""
    halo = [withStroke(linewidth=2.5, foreground="white")]  # where a name lies on the line of the best
    texts = [axes.text(x, y, name, color=color, fontsize=9, path_effects=halo) for x, y, name, color in points]
    xs, ys = zip(*(point[:2] for point in points), strict=True)
    lines = {"arrowstyle": "-", "color": "0.7", "linewidth": 0.8, "shrinkB": 3}
    adjust_text(
        texts,
        xs,
        ys,
        ax=axes,
        iter_lim=800,
        expand=(1.3, 1.8),
        force_static=(0.3, 0.5),
        force_text=(0.4, 0.6),
        arrowprops=lines,
    )


KINDS = {"frontier": of_data, "family": of_family, "cas": cas}
