"""The verb `list`: what there is, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.table import Table

from counterfeit import catalog
from counterfeit.models import MODELS
from counterfeit.registry import Registry
from counterfeit.system.console import as_text

LISTS: Registry[Callable[[], str]] = Registry("list")


@LISTS.register("models")
def models() -> str:
    """Every named model, what it is and where it comes from."""
    rows = [(r.name, r.title, r.paper, "yes" if r.conditional else "") for r in MODELS.values()]
    return _table("models", ["name", "what it is", "paper", "labels"], rows)


@LISTS.register("data")
def data() -> str:
    """Every named data set; folders, .npz files and arrays come besides."""
    rows = [(name, s.summary, "x".join(map(str, s.shape)), _counts(s.counts)) for name, s in catalog.DATA.items()]
    also = "A folder of images or an .npz file is named by its path."
    return _table("data", ["name", "what it is", "shape", "images"], rows) + "\n" + also


@LISTS.register("detectors")
def detectors() -> str:
    """Every named detector; an .onnx file or a Python callable come besides."""
    rows = [(name, entry.summary) for name, entry in catalog.DETECTORS.items()]
    return _table("detectors", ["name", "what it is"], rows)


@LISTS.register("metrics")
def metrics() -> str:
    """Every metric, which direction is better, and what it prints."""
    rows = [(name, m.summary, ", ".join(m.labels), m.better) for name, m in catalog.METRICS.items()]
    return _table("metrics", ["name", "what it is", "prints", "better"], rows)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {split}" for split, n in counts.items())


def _table(title: str, columns: list[str], rows: Sequence[tuple[str, ...]]) -> str:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return as_text(table, 110)
