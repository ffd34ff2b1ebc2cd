"""Collect everything that tables and reports need to know of a finished run in a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterfeit.comparison.judged import with_people
from counterfeit.models import MODELS
from counterfeit.models.plan import Plan
from counterfeit.models.plugins import code_of
from counterfeit.report.records import Metric, RunRow, RunScore, ScoreCurve, of_json
from counterfeit.run import Run
from counterfeit.runs.log import LogRow, OnTestSet, Steps, Trouble, curve, score_names, terms
from counterfeit.training.ends import SAMPLES_SCORED

MOST_POINTS = 200  # of a loss curve: more than a chart can show


def record(run: Run, score: dict[str, Any]) -> RunRow:
    """The record of a run; `score` is in the format of `Score.to_dict`, and what people said of the run is added."""
    rows = run.folder.log_rows()
    seconds, images = trained(run)
    return RunRow(
        path=run.name,
        model=run.model_name,
        title=MODELS[run.model_name].title,
        data=run.data.name,
        data_path=run.data.path,
        data_digest=run.data.digest,
        seed=run.config.seed,
        epochs=run.config.epochs,
        command=run.record.made_by.get("command", []),
        training_code=run.record.made_by.get("training_code"),
        plugin=code_of(run.record.plugin),
        config=run.config.to_dict(),
        parameters=sum(p.numel() for p in run.model.parameters()),
        train_seconds=seconds,
        images_per_s=images / seconds if seconds else None,
        losses=losses(rows, run.plan),
        test_losses={name: value for row in rows if isinstance(row, OnTestSet) for name, value in row.losses.items()},
        loss_unit=run.config.unit,
        curve=score_curve(rows),
        score=of_json(with_people(score, run), RunScore),
        remarks=[f"epoch {row.epoch}: {row}" for row in rows if isinstance(row, Trouble)] + run.trained.selected(),
    )


def trained(run: Run) -> tuple[float, int]:
    """Seconds spent in training steps, without sample grids and scores, and images seen; restarts are included."""
    seconds, images, step, plan = 0.0, 0, 0, run.plan
    for row in run.folder.log_rows():
        if isinstance(row, Steps) and row.images_per_s:  # a rate rounded to 0 does not tell the time
            seen = (row.step - step) * run.config.batch_size * plan.at(row.step - 1).stage.batches
            seconds, images, step = seconds + seen / row.images_per_s, images + seen, row.step
    return seconds, images


def losses(rows: Sequence[LogRow], plan: Plan) -> dict[str, list[float | None]]:
    """The training losses as columns: {"epoch": […], "d_loss": […], …}; None for gaps. Epochs may be fractions.

    If only some rows have a loss, it is thinned separately, so that it is not lost.
    """
    logged = [row for row in rows if isinstance(row, Steps)]
    names = terms(logged)
    kept = sorted({i for name in names for i in _thinned([i for i, row in enumerate(logged) if name in row.losses])})
    columns: dict[str, list[float | None]] = {"epoch": [round(plan.epochs_done(logged[i].step), 4) for i in kept]}
    return columns | {name: [logged[i].losses.get(name) for i in kept] for name in names}


def _thinned(rows: list[int]) -> list[int]:
    """At most MOST_POINTS of the rows; always includes the last one."""
    return rows[:: -(-len(rows) // MOST_POINTS)][:-1] + rows[-1:]


def score_curve(rows: Sequence[LogRow]) -> ScoreCurve | None:
    """The scores of --score-every; None if there are none."""
    names = score_names(rows)
    if not names:
        return None
    return ScoreCurve(name=Metric.of(names[0]), n=SAMPLES_SCORED, points=curve(rows, names[0]))
