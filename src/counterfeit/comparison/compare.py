"""From a grid to the comparison: a dict of plain JSON types that tables and the report are made of."""

from __future__ import annotations

import sys
from typing import Any

import torch

from counterfeit import data as datasets
from counterfeit.comparison import render
from counterfeit.comparison.grid import Grid
from counterfeit.comparison.table import tables
from counterfeit.comparison.work import Done, Engine, Failure, Order, Result
from counterfeit.errors import InputError
from counterfeit.files import as_json
from counterfeit.loop import steps_per_epoch
from counterfeit.metrics import METRICS
from counterfeit.models import build
from counterfeit.recipes import RECIPES
from counterfeit.runs import provenance, shared
from counterfeit.scoring import judge
from counterfeit.text import utf8

Json = dict[str, Any]


def comparison_of(grid: Grid, engine: Engine, ranked_by: str | None = None) -> Json:
    """Bring the grid's members to the end (see `work`) and put them into tables.

    Returns:
        {"title", "made_by", "tables": see `table.tables`, "runs": see `collect.record`, "failures": [{"run", "error"}],
        "notes": [sentence]}.
    """
    check(grid, ranked_by)
    results: dict[int, Result] = dict(engine(grid.members, Order(grid.score, grid.trains, sys.argv)))
    found = [results[i] for i in range(len(grid.members))]  # in the grid's order, in whatever order they came
    runs = [one.record for one in found if isinstance(one, Done)]
    made, notes = tables(runs, ranked_by)
    labels = {path: row["label"] for table in made for row in table["rows"] for path in row["runs"]}
    here = provenance(torch.device("cpu"))
    return {
        "title": grid.title,
        "made_by": here,
        "tables": made,
        "runs": [{**run, "label": labels[run["path"]]} for run in runs if run["path"] in labels],
        "failures": [{"run": one.run, "error": one.error} for one in found if isinstance(one, Failure)],
        "notes": notes,
    }


def check(grid: Grid, ranked_by: str | None) -> None:
    """InputError for what is wrong whatever the runs: found before hours of training, not after."""
    names = judge.asked_metrics(grid.score)
    labels = {label: METRICS[name].better for name in names or METRICS for label in METRICS[name].labels}
    if ranked_by is not None and labels.get(ranked_by) not in ("lower", "higher"):
        ranking = [label for label, better in labels.items() if better in ("lower", "higher")]
        raise InputError(f"--rank-by is {ranked_by!r}, which is none of the scores that can rank: {', '.join(ranking)}")
    if isinstance(grid.score.detector, str) and grid.score.detector != "auto":
        judge.named_detector(grid.score, grid.score.detector)
    if grid.score.real is not None:
        judge.check_real(grid.score)
    shared.check(grid.home)
    if grid.trains:
        built = {(member.model, member.config.replace({"seed": 0})): member for member in grid.members}
        for member in built.values():
            config = member.config
            data = datasets.load(config.data, size=config.size, skip_bad=config.skip_bad, holdout=config.holdout)
            steps_per_epoch(len(data), member.config.batch_size)
            build(RECIPES[member.model], member.config, data.shape, len(data.classes))


def write(comparison: Json, folder: str) -> None:
    """comparison.json, table.md and table.csv in a folder or at a URL. Raises RunError where they cannot be written."""
    files = {"comparison.json": as_json(comparison)}
    files |= {"table.md": utf8(render.markdown(comparison)), "table.csv": utf8(render.to_csv(comparison))}
    for name, content in files.items():
        shared.write(shared.joined(folder, name), content)
