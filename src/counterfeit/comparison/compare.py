"""Run a grid and make the comparison, from which tables and the report are made."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import torch

from counterfeit import data as datasets
from counterfeit.comparison import render
from counterfeit.comparison.grid import Grid, Member
from counterfeit.comparison.judged import of_one_test
from counterfeit.comparison.table import tables
from counterfeit.comparison.work import Done, Engine, Failure, Order, Result
from counterfeit.data import ImageSet
from counterfeit.errors import InputError
from counterfeit.metrics import METRICS
from counterfeit.models import MODELS
from counterfeit.report import records
from counterfeit.report.records import Comparison, to_json
from counterfeit.runs import RunRecord, provenance, shared
from counterfeit.runs.data import record_of
from counterfeit.scoring import Scorer, judge
from counterfeit.settings import ScoreConfig
from counterfeit.system.device import pick_device
from counterfeit.system.files import as_json
from counterfeit.system.text import utf8
from counterfeit.training.checks import built


def comparison_of(
    grid: Grid, engine: Engine, ranked_by: str | None = None, here: bool = True, scores: dict[str, Any] | None = None
) -> Comparison:
    """Train and score what is missing from the grid (see `work`), and make tables over seeds.

    Args:
        grid: what to compare.
        engine: does the work of the members.
        ranked_by: label of the score that determines the ranks.
        here: whether the engine uses this machine's devices, which are then checked before training.
        scores: by the path of a run, a score to use instead of scoring it again: see `scored.shared_scores`.
    """
    check(grid, ranked_by, here)
    results: dict[int, Result] = dict(engine(grid.members, Order(grid.score, grid.trains, sys.argv, scores or {})))
    found = [results[i] for i in range(len(grid.members))]  # in the grid's order
    runs = [one.record for one in found if isinstance(one, Done)]
    runs, of_people = of_one_test(runs)
    made, notes = tables(runs, ranked_by)
    labels = {path: row.label for table in made for row in table.rows for path in row.runs}
    return Comparison(
        title=grid.title,
        made_by=provenance(torch.device("cpu")),
        tables=made,
        runs=[msgspec.structs.replace(run, label=labels[run.path]) for run in runs if run.path in labels],
        failures=[records.Failure(run=one.run, error=one.error) for one in found if isinstance(one, Failure)],
        notes=[*notes, *of_people],
    )


def check(grid: Grid, ranked_by: str | None, here: bool = True) -> None:
    """Raise InputError for faults that do not depend on the runs, so that they are found before hours of training."""
    names = judge.asked_metrics(grid.score)
    names = names or [name for name, metric in METRICS.items() if not metric.on_request]
    labels = {label: METRICS[name].better for name in names for label in METRICS[name].labels}
    if ranked_by is not None and labels.get(ranked_by) not in ("lower", "higher"):
        ranking = [label for label, better in labels.items() if better in ("lower", "higher")]
        raise InputError(f"--rank-by is {ranked_by!r}, which is not a score to rank by: {', '.join(ranking)}")
    score = grid.score if here else replace(grid.score, device="cpu")
    if isinstance(score.detector, str) and score.detector != "auto":
        judge.named_detector(score, score.detector)
    pick_device(score.device)
    if score.real is not None:
        judge.check_real(score)
    shared.check(grid.home)
    if grid.trains:
        _check_members(grid.members, score, here)


def _check_members(members: Sequence[Member], score: ScoreConfig, here: bool) -> None:
    """Raise InputError if members cannot be trained, or their samples cannot be scored as requested."""
    configs = [member.config if here else member.config.replace({"device": "cpu"}) for member in members]
    once = {(member.model, config.replace({"seed": 0})): None for member, config in zip(members, configs, strict=True)}
    data: dict[tuple[Any, ...], tuple[ImageSet, Scorer]] = {}
    for model, config in once:
        of = (config.data, config.size, config.skip_bad, config.holdout)
        if of not in data:
            size, holdout = config.size, config.holdout
            train = datasets.load(config.data, size=size, skip_bad=config.skip_bad, holdout=holdout)
            run = RunRecord(model, config, record_of(train, config, None), {}, [])
            data[of] = train, judge.prepared(score, run, config.data)
        train, scorer = data[of]
        built(MODELS[model], config, train)
        classes = train.classes if MODELS[model].conditional else ()
        judge.check_drawn(f"{model} on {config.data}", train.shape, classes, score, scorer)


def write(comparison: Comparison, folder: str) -> None:
    """Write comparison.json, table.md and table.csv to a folder or URL. Raises RunError if that fails."""
    files = {"comparison.json": as_json(to_json(comparison))}
    files |= {"table.md": utf8(render.markdown(comparison)), "table.csv": utf8(render.to_csv(comparison.runs))}
    for name, content in files.items():
        shared.write(shared.joined(folder, name), content)
