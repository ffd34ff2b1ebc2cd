"""The command `list`: the contents of the registries as tables."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from counterfeit import catalog
from counterfeit.models import MODELS
from counterfeit.registry import Registry
from counterfeit.system.console import as_text, terminal_width

LISTS: Registry[Callable[[], str]] = Registry("list")


@LISTS.register("models")
def models() -> str:
    """All models: name, description, paper, whether they use labels, how long they train."""
    rows = [
        (r.name, r.title, r.paper, "yes" if r.conditional else "", ", ".join(catalog.minutes(r.name).values()))
        for r in MODELS.complete().values()
    ]
    also = "min: minutes of training with the defaults on mnist and on cifar10, on 2 cores."
    also = textwrap.fill(also, terminal_width())
    return _table("models", ("name", "what it is", "paper", "labels", "min"), rows) + "\n" + also


@LISTS.register("data")
def data() -> str:
    """All named data sets: name, description, shape, number of images."""
    rows = [(name, s.summary, "x".join(map(str, s.shape)), _counts(s.counts)) for name, s in catalog.DATA.items()]
    also = textwrap.fill(
        "A folder of images, a .zip, .tar, .parquet or .npz also works: give its path.", terminal_width()
    )
    return _table("data", ("name", "what it is", "shape", "images"), rows) + "\n" + also


@LISTS.register("detectors")
def detectors() -> str:
    """All named detectors; .onnx files and Python functions work too."""
    rows = [(name, entry.summary) for name, entry in catalog.DETECTORS.items()]
    return _table("detectors", ("name", "what it is"), rows)


@LISTS.register("metrics")
def metrics() -> str:
    """All metrics: name, description, the names of its scores, which direction is better."""
    rows = [(name, m.summary, ", ".join(m.labels), m.better) for name, m in catalog.METRICS.items()]
    return _table("metrics", ("name", "what it is", "scores", "better"), rows)


@LISTS.register("zoo")
def zoo() -> str:
    """All trained generators that are there to start from: name, model, data, FID, size, license."""
    rows = [
        (f"{catalog.ZOO}{name}", z.model, z.data, _first(z.scores), f"{z.size / 1e6:.1f} MB", z.license)
        for name, z in catalog.zoo().items()
    ]
    also = (
        "Sample, score, encode or export them like runs. FID is that of 10,000 samples, by the detector in brackets. "
        "The weights are a package of their own: pip install ./zoo."
    )
    title = ("name", "model", "data", "FID", "size", "license")
    return _table("zoo", title, rows) + "\n" + textwrap.fill(also, terminal_width())


def _first(scores: Mapping[str, float]) -> str:
    """`FID[mnist-cnn]` as `3.59 [mnist-cnn]`."""
    label, value = next(iter(scores.items()))
    return f"{value:.4g} {label[label.index('[') :]}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {split}" for split, n in counts.items())


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column, width in zip(columns, _widths([columns, *rows], terminal_width()), strict=True):
        table.add_column(column, width=width)
    for row in rows:
        table.add_row(*map(Text, row))  # [in brackets] is no markup
    return as_text(table, terminal_width())


def _widths(rows: Sequence[tuple[str, ...]], total: int) -> list[int]:
    """The width of each column: at least its longest word, and the narrow ones whole before the wide ones."""
    columns = list(zip(*rows, strict=True))
    widths = [max(len(word) for cell in column for word in cell.split()) for column in columns]
    wanted = [max(map(len, column)) - width for column, width in zip(columns, widths, strict=True)]
    spare = max(0, total - sum(widths) - 2 * (len(columns) - 1))  # two spaces between columns
    for left, i in enumerate(sorted(range(len(columns)), key=wanted.__getitem__)):
        given = min(wanted[i], spare // (len(columns) - left))
        widths[i] += given
        spare -= given
    return widths
