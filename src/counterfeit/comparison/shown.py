"""A comparison as Python hands it out: the contents of comparison.json, which a notebook shows as tables."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from counterfeit.comparison.render import header, notes, rows, under
from counterfeit.display import html
from counterfeit.errors import InputError
from counterfeit.registry import nearest
from counterfeit.report.records import Comparison, Table, of_json, to_json
from counterfeit.system.arguments import checked, shown
from counterfeit.system.drawing import Axes, Sheet, sheet
from counterfeit.system.text import harmless
from counterfeit.system.words import number, shortened

LEFT = 1  # the column of the models' names


class Compared(dict[str, Any]):
    """A dict of plain types, as comparison.json holds it, with a picture and a form for notebooks."""

    @classmethod
    def of(cls, comparison: Comparison) -> Compared:
        return cls(to_json(comparison))

    def _repr_html_(self) -> str:
        """The tables: mean ± standard deviation over seeds, real images in the last row."""
        found = of_json(dict(self), Comparison)
        parts = [Markup("<h3>{}</h3>").format(found.title)]
        for table in found.tables:
            parts += [html.table(header(table), rows(table), words=(LEFT,)), html.paragraph(under(table))]
        return str(Markup("").join([*parts, *map(html.paragraph, notes(found))]))

    @checked
    def plot(self, label: str | None = None) -> Sheet:
        """A matplotlib figure: a panel per table, a row per model, a point per seed, and real images as a line.

        Args:
            label: which score, as `FID` or `KID`; by default the one that ranks.

        Raises:
            InputError: no table has that score.
        """
        found = of_json(dict(self), Comparison)
        known = dict.fromkeys(name.label for table in found.tables for name in table.columns)
        if label is not None and label not in known:
            raise InputError(f"this comparison has no score {shown(label)}; {nearest(label, known)}")
        tables = [table for table in found.tables if label is None or label in {name.label for name in table.columns}]
        if not tables:
            raise InputError("this comparison has no table: all of its runs have failed")
        heights = [1.1 + 0.35 * len(table.rows) for table in tables]
        with sheet(figsize=(7, sum(heights)), dpi=100, layout="constrained") as made:
            panels = made.subplots(len(tables), 1, height_ratios=heights, squeeze=False)[:, 0]
            for axes, table in zip(panels, tables, strict=True):
                _strip(axes, table, label)
        return made


def _strip(axes: Axes, table: Table, label: str | None) -> None:
    """The rows of a table by one score."""
    name = next((one for one in table.columns if one.label == label), table.ranked_by or table.columns[0])
    for y, row in enumerate(table.rows):
        if name in row.metrics:
            spread = row.metrics[name]
            axes.plot(spread.values, [y] * len(spread.values), "o", markersize=6, alpha=0.8)
            axes.plot([spread.mean] * 2, [y - 0.3, y + 0.3], color="0.3", linewidth=1.5)
            axes.text(1.01, y, number(spread.mean), transform=axes.get_yaxis_transform(), va="center")
    floor = table.floors.get(name)
    if floor is not None:
        axes.axvline(floor, color="0.4", linestyle="--", label=f"real images: {number(floor)}")
        axes.legend(loc="best", fontsize=8)
    axes.set_yticks(range(len(table.rows)), [shortened(harmless(row.label)) for row in table.rows])
    axes.set_ylim(len(table.rows) - 0.4, -0.6)
    axes.set(xlabel=f"{name}, {table.better[name]} is better", title=harmless(table.data))
    axes.grid(axis="x", alpha=0.3)
