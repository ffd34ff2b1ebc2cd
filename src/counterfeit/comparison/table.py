"""Make tables over seeds from the records of runs.

A table is for one data set and one protocol: scores whose receipts differ in how they were measured are never in the
same column. Ranks need evidence: a row's rank is one more than the number of rows that are significantly better, so
that rows between which the seeds cannot decide share a rank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from counterfeit.comparison.ranks import TEST, ranks
from counterfeit.human.score import LABEL as PEOPLE
from counterfeit.models import MODELS
from counterfeit.report.records import Metric, Protocol, Row, RowCurve, RunRow, ScoreCurve, Spread, Table, to_json
from counterfeit.settings import LENGTHS, having, length_of, spelled_today

Json = dict[str, Any]
Changed = tuple[RunRow, Json]  # a run, and the settings that differ from its model's recipe


def tables(records: Sequence[RunRow], ranked_by: str | None = None) -> tuple[list[Table], list[str]]:
    """Tables by data set and protocol, and a sentence for every split that is not by data set.

    Args:
        records: results of `collect.record`.
        ranked_by: label of the score that determines the ranks, without its detector; None for FID, or the first score
            if there is no FID.
    """
    settings_of = _settings(records)
    found, notes = [], []
    names: dict[str, str] = {}  # a folder is one data set, however its path is spelled
    data_of = [names.setdefault(r.data_path or r.data, r.data) for r in records]
    for data in dict.fromkeys(data_of):
        of_data = [(r, s) for r, s, of in zip(records, settings_of, data_of, strict=True) if of == data]
        by_protocol: dict[str, list[Changed]] = {}
        for one in of_data:
            by_protocol.setdefault(protocol_identity(protocol(one[0].score.receipt)), []).append(one)
        protocols = [protocol(rows[0][0].score.receipt) for rows in by_protocol.values()]
        if len(protocols) > 1:
            notes.append(
                f"{data}: scores are in {len(protocols)} tables, since they were measured differently "
                f"({', '.join(_differing(protocols))}); numbers of different protocols do not compare"
            )
        for how, rows in zip(protocols, by_protocol.values(), strict=True):
            table, more = _table(data, how, rows, ranked_by)
            found.append(table)
            notes += more
    return found, notes


def protocol(receipt: Mapping[str, Any]) -> Protocol:
    """What two scores must have in common to be in one column."""
    generated, real = receipt["generated"], receipt["real"]
    return Protocol(
        real={key: real[key] for key in ("name", "split", "n", "digest")},
        forms={"generated": generated.get("form", {}).get("compared"), "real": real.get("form")},
        detector=receipt["detector"],
        n=generated["n"],
        repeats=generated["repeats"],
        version=receipt["versions"]["counterfeit"],
        training_code=generated.get("training_code"),
    )


def protocol_identity(how: Protocol) -> str:
    """A protocol without the name of the real images, which are identified by their digest."""
    real = {key: value for key, value in how.real.items() if key != "name"}
    return json.dumps({**to_json(how), "real": real}, sort_keys=True)


def _differing(protocols: Sequence[Protocol]) -> list[str]:
    first, *others = (to_json(how) for how in protocols)
    return [key for key in first if any(how[key] != first[key] for how in others)]


def _settings(records: Sequence[RunRow]) -> list[Json]:
    """For every record, the settings that differ from its model's recipe."""
    differing = []
    for r in records:
        settings = MODELS[r.model].settings
        of_a_row, own = having(settings, "computes") - {"data", "seed", *LENGTHS}, settings.to_dict()
        if r.config.get("keep") == "best":
            of_a_row |= {"score_every"}
        config = spelled_today(r.config)  # older versions stored settings that the model does not have
        name, length = length_of(config)  # not what follows from it, such as the steps of a budget
        changed = {name: length} if length is not None and (name, length) != length_of(own) else {}
        changed |= {key: value for key, value in config.items() if key in of_a_row and value != own[key]}
        differing.append(changed)
    return differing


def _table(data: str, how: Protocol, rows: list[Changed], ranked_by: str | None) -> tuple[Table, list[str]]:
    groups, notes = _grouped(data, rows)
    shared = {k: v for k, v in rows[0][1].items() if all(changed.get(k) == v for _, changed in rows)}
    columns = list(dict.fromkeys(name for r, _ in rows for name in r.score.metrics))
    made = [_row(group, settings, shared, columns) for group, settings in groups]
    by = next((name for name in columns if name.label == (ranked_by or "FID")), columns[0])
    if ranked_by and by.label != ranked_by:
        notes.append(f"{data}: no run has a {ranked_by}, so that {by} ranks")
    metrics = {name: one for r, _ in rows for name, one in r.score.metrics.items()}
    worst = 1 if metrics[by].better == "lower" else -1
    made.sort(key=lambda row: worst * row.metrics[by].mean if by in row.metrics else np.inf)
    values = [row.metrics[by].values if by in row.metrics else [] for row in made]
    of_rows = ranks(values, metrics[by].better == "lower")
    table = Table(
        data=data,
        protocol=how,
        shared_settings=shared,
        columns=columns,
        better={name: metrics[name].better for name in columns},
        floors={name: metrics[name].floor for name in columns},
        floor_stds={name: metrics[name].floor_std for name in columns},
        ranked_by=by,
        test=TEST,
        rows=[replace(row, rank=rank) for row, rank in zip(made, of_rows, strict=True)],
    )
    return table, notes


def _grouped(data: str, rows: list[Changed]) -> tuple[list[tuple[list[RunRow], Json]], list[str]]:
    """The runs of each row with its settings, and a sentence about runs that are left out or kept separate."""
    groups: dict[str, list[RunRow]] = {}
    settings: dict[str, Json] = {}
    notes = []
    several = len({r.data_digest for r, _ in rows}) > 1
    codes = {model: {r.plugin for r, _ in rows if r.model == model} for model in {r.model for r, _ in rows}}
    for r, changed in rows:
        changed = {**changed, "images": r.data_digest[:8]} if several else changed
        if len(codes[r.model]) > 1:
            changed = {**changed, "plugin": _short(r.plugin)}
        key = json.dumps([r.model, changed], sort_keys=True)
        group = groups.setdefault(key, [])
        twin = next((other for other in group if other.seed == r.seed), None)
        if twin:  # the same seed: no new evidence
            notes.append(f"{r.path} is left out: it has the same seed and settings as {twin.path}")
            continue
        group.append(r)
        settings[key] = changed
    notes += [
        f"{data}: the runs of {model} were trained with different plugins, and are in separate rows"
        for model, found in sorted(codes.items())
        if len(found) > 1
    ]
    if several:
        notes.append(f"{data}: the runs were trained on different images of that name, and are in separate rows")
    return [(group, settings[key]) for key, group in groups.items()], notes


def _short(code: str | None) -> str | None:
    """The SHA-256 of a file as a label has it; a package's name and version as they are."""
    return code[:8] if code and " " not in code else code


def _row(group: list[RunRow], settings: Json, shared: Json, columns: Sequence[Metric]) -> Row:
    group = sorted(group, key=lambda r: r.seed)
    first = group[0]
    own = [f"{key} {value}" for key, value in settings.items() if key not in shared]
    measured = {name: [r.score.metrics[name].value for r in group if name in r.score.metrics] for name in columns}
    by_metric = {
        name: spread(values)
        for name, values in measured.items()
        if len(values) == len(group) or (values and name.label == PEOPLE)  # a note says which seeds people judged
    }
    return Row(
        label=", ".join([first.model, *own]),
        model=first.model,
        settings=settings,
        seeds=[r.seed for r in group],
        rank=None,
        parameters=first.parameters,
        epochs=first.epochs,
        metrics=by_metric,
        train_seconds=spread([r.train_seconds for r in group]),
        images_per_s=spread_of_known([r.images_per_s for r in group]),
        curve=_curve([r.curve for r in group]),
        runs=[r.path for r in group],
    )


def _curve(curves: Sequence[ScoreCurve | None]) -> RowCurve | None:
    """Best and final values of the score curves, and the epochs of the best.

    None unless all were measured at the same epochs: the best of more points is lower.
    """
    known = [one for one in curves if one is not None and one.points]
    if len(known) < len(curves) or len({tuple(epoch for epoch, _ in one.points) for one in known}) > 1:
        return None
    best = [min(one.points, key=lambda point: point[1]) for one in known]
    return RowCurve(
        name=known[0].name,
        n=known[0].n,
        best=spread([value for _, value in best]),
        best_epoch=spread([epoch for epoch, _ in best]),
        final=spread([one.points[-1][1] for one in known]),
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation (ddof 1; None for a single value) and the values, of one or more values."""
    # Equal values have a std of exactly 0, without rounding errors.
    std = (float(np.std(values, ddof=1)) if np.ptp(values) else 0.0) if len(values) > 1 else None
    return Spread(mean=float(np.mean(values)), std=std, values=list(values))


def spread_of_known(values: Sequence[float | None]) -> Spread | None:
    """`spread` of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return spread(known) if known else None
