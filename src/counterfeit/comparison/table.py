"""From the records of runs to tables over seeds. Plain JSON types in, plain JSON types out.

A table is for one data set and one protocol: scores whose receipts differ in how they were measured never meet in a
column. Ranks are given where there is evidence for them: a row's rank is one more than the number of rows that are
significantly better, so that rows between which the seeds cannot decide share a rank.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from counterfeit.comparison.ranks import TEST, ranks
from counterfeit.models.recipes import RECIPES

NOT_OF_A_ROW = ("data", "seed", "device", "log_every", "score_every", "skip_bad")

Json = dict[str, Any]


def tables(records: Sequence[Json], ranked_by: str | None = None) -> tuple[list[Json], list[str]]:
    """Tables by data set and protocol, and a sentence on every split that is not by data set.

    Args:
        records: as `collect.record` gives them.
        ranked_by: label of the score that ranks, without its detector; None for FID, or the first where there is none.
    """
    settings_of = _settings(records)
    found, notes = [], []
    names: dict[str, str] = {}  # a folder is one data set, whichever way its path is spelled
    data_of = [names.setdefault(r.get("data_path") or r["data"], r["data"]) for r in records]
    for data in dict.fromkeys(data_of):
        of_data = [(r, s) for r, s, of in zip(records, settings_of, data_of, strict=True) if of == data]
        by_protocol: dict[str, list[tuple[Json, Json]]] = {}
        for one in of_data:
            by_protocol.setdefault(_identity(protocol(one[0]["score"]["receipt"])), []).append(one)
        protocols = [protocol(rows[0][0]["score"]["receipt"]) for rows in by_protocol.values()]
        if len(protocols) > 1:
            notes.append(
                f"{data}: scores are in {len(protocols)} tables, since they were measured differently "
                f"({', '.join(_differing(protocols))}); numbers of different protocols do not compare"
            )
        for how, rows in zip(protocols, by_protocol.values(), strict=True):
            table, told = _table(data, how, rows, ranked_by)
            found.append(table)
            notes += told
    return found, notes


def protocol(receipt: Json) -> Json:
    """What two scores must have in common to stand in one column."""
    generated, real = receipt["generated"], receipt["real"]
    return {
        "real": {key: real[key] for key in ("name", "split", "n", "digest")},
        "sizes and channels": {"generated": generated.get("form", {}).get("compared"), "real": real.get("form")},
        "detector": receipt["detector"],
        "n": generated["n"],
        "repeats": generated["repeats"],
        "version": receipt["versions"]["counterfeit"],
        "training code": generated.get("training_code"),
    }


def _identity(how: Json) -> str:
    """A protocol without the name of the real images, whose digest says what they are."""
    real = {key: value for key, value in how["real"].items() if key != "name"}
    return json.dumps({**how, "real": real}, sort_keys=True)


def _differing(protocols: Sequence[Json]) -> list[str]:
    return [key for key in protocols[0] if any(p[key] != protocols[0][key] for p in protocols)]


def _settings(records: Sequence[Json]) -> list[Json]:
    """Of every record, the settings in which it differs from its model's recipe."""
    differing = []
    for r in records:
        own = RECIPES[r["model"]].config.to_dict()
        changed = {key: value for key, value in r["config"].items() if key not in NOT_OF_A_ROW and value != own[key]}
        differing.append(changed)
    return differing


def _table(data: str, how: Json, rows: list[tuple[Json, Json]], ranked_by: str | None) -> tuple[Json, list[str]]:
    groups: dict[str, list[Json]] = {}
    settings: dict[str, Json] = {}
    notes = []
    several = len({r["data_digest"] for r, _ in rows}) > 1
    for r, changed in rows:
        changed = {**changed, "images": r["data_digest"][:8]} if several else changed
        key = json.dumps([r["model"], changed], sort_keys=True)
        group = groups.setdefault(key, [])
        twin = next((other for other in group if other["seed"] == r["seed"]), None)
        if twin:  # of one seed: no new evidence
            notes.append(f"{r['path']} is left out: it has the same seed and settings as {twin['path']}")
            continue
        group.append(r)
        settings[key] = changed
    if several:
        notes.append(f"{data}: the runs were trained on different images of that name, and are in separate rows")
    shared = {k: v for k, v in rows[0][1].items() if all(changed.get(k) == v for _, changed in rows)}
    columns = list(dict.fromkeys(name for r, _ in rows for name in r["score"]["metrics"]))
    made = [_row(group, settings[key], shared, columns) for key, group in groups.items()]
    by = next((name for name in columns if name.partition("[")[0] == (ranked_by or "FID")), columns[0])
    if ranked_by and by.partition("[")[0] != ranked_by:
        notes.append(f"{data}: no run has a {ranked_by}, so that {by} ranks")
    metrics = {name: one for r, _ in rows for name, one in r["score"]["metrics"].items()}
    worst = 1 if metrics[by]["better"] == "lower" else -1
    made.sort(key=lambda row: worst * row["metrics"][by]["mean"] if by in row["metrics"] else np.inf)
    values = [row["metrics"].get(by, {"values": []})["values"] for row in made]
    for row, rank in zip(made, ranks(values, metrics[by]["better"] == "lower"), strict=True):
        row["rank"] = rank
    table = {
        "data": data,
        "protocol": how,
        "shared_settings": shared,
        "columns": columns,
        "better": {name: metrics[name]["better"] for name in columns},
        "floors": {name: metrics[name]["floor"] for name in columns},
        "floor_stds": {name: metrics[name].get("floor_std") for name in columns},
        "ranked_by": by,
        "test": TEST,
        "rows": made,
    }
    return table, notes


def _row(group: list[Json], settings: Json, shared: Json, columns: Sequence[str]) -> Json:
    group = sorted(group, key=lambda r: r["seed"])
    first = group[0]
    own = [f"{key} {value}" for key, value in settings.items() if key not in shared]
    curves = [r["curve"] for r in group]
    return {
        "label": ", ".join([first["model"], *own]),
        "model": first["model"],
        "settings": settings,
        "seeds": [r["seed"] for r in group],
        "rank": None,
        "parameters": first["parameters"],
        "epochs": first["epochs"],
        "metrics": {
            name: spread([r["score"]["metrics"][name]["value"] for r in group])
            for name in columns
            if all(name in r["score"]["metrics"] for r in group)
        },
        "train_seconds": spread([r["train_seconds"] for r in group]),
        "images_per_s": spread([r["images_per_s"] for r in group]),
        "curve": _curve(curves) if len({_epochs(curve) for curve in curves}) == 1 and all(curves) else None,
        "runs": [r["path"] for r in group],
    }


def _epochs(curve: Json | None) -> tuple[int, ...]:
    """At which a curve was measured: the best of more points is lower, so that only equal ones make a mean."""
    return tuple(epoch for epoch, _ in curve["points"]) if curve else ()


def _curve(curves: Sequence[Json]) -> Json:
    """Best and final values of the score curves, and the epochs of the best."""
    best = [min(one["points"], key=lambda point: point[1]) for one in curves]
    return {
        "name": curves[0]["name"],
        "n": curves[0]["n"],
        "best": spread([value for _, value in best]),
        "best_epoch": spread([epoch for epoch, _ in best]),
        "final": spread([one["points"][-1][1] for one in curves]),
    }


def spread(values: Sequence[float | None]) -> Json | None:
    """Mean, standard deviation (ddof 1; None for a single value) and the values; None where none is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    std = (float(np.std(known, ddof=1)) if np.ptp(known) else 0.0) if len(known) > 1 else None  # equal: no rounding
    return {"mean": float(np.mean(known)), "std": std, "values": known}
