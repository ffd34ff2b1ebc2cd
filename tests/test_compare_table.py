"""Tables over seeds, made of records that no run was trained for."""

from __future__ import annotations

from typing import Any

import pytest

from counterfeit.comparison.render import markdown, terminal, to_csv
from counterfeit.comparison.table import spread
from counterfeit.models import MODELS
from counterfeit.report.records import RunRow, of_json
from report_cases import read, rows, tables


def fake_record(model: str, seed: int, value: float, **receipt: Any) -> dict[str, Any]:
    """A run as `collect.record` gives it, with one score."""
    real = {"name": "mnist", "split": "test", "n": 10_000, "digest": "d"}
    whole = {
        "generated": {"n": 10_000, "repeats": 1},
        "real": real,
        "detector": {"name": "mnist-cnn", "protocol": "p", "weights_sha256": "w"},
        "versions": {"counterfeit": "0.1.0"},
        **receipt,
    }
    config = {**MODELS[model].settings.to_dict(), "seed": seed}
    metrics = {"FID[mnist-cnn]": {"value": value, "better": "lower", "floor": 0.9}}
    return {
        **{"path": f"runs/{model}-{seed}-{value}", "model": model, "data": "mnist", "seed": seed, "config": config},
        "data_digest": "0123456789",
        **{"epochs": 10, "parameters": 1, "train_seconds": 1.0, "images_per_s": 1.0, "curve": None},
        "score": {"metrics": metrics, "receipt": whole},
    }


@pytest.mark.parametrize(
    "receipt",
    [
        {"generated": {"n": 2000, "repeats": 1}},
        {"real": {"name": "mnist", "split": "train", "n": 60_000, "digest": "e"}},
        {"detector": {"name": "mnist-cnn", "protocol": "p", "weights_sha256": "other"}},
        {"versions": {"counterfeit": "0.2.0"}},
    ],
    ids=lambda receipt: next(iter(receipt)),
)
def test_scores_with_different_receipts_are_never_in_one_column(receipt) -> None:
    records = [fake_record("vae", 0, 100.0), fake_record("vae", 1, 50.0, **receipt)]
    found, notes = tables(records)
    assert len(found) == 2 and all(len(table["rows"][0]["seeds"]) == 1 for table in found)
    assert len(notes) == 1 and "measured differently" in notes[0]


def test_ranks_say_no_more_than_the_seeds_do() -> None:
    """gan and lsgan overlap, dcgan is far ahead of both; of vae there is one seed."""
    values = {"dcgan": [16, 17, 18], "gan": [130, 140, 150], "lsgan": [125, 138, 149], "vae": [200]}
    records = [fake_record(model, i, v) for model, vs in values.items() for i, v in enumerate(vs)]
    (table,), notes = tables(records)
    assert [row["model"] for row in table["rows"]] == ["dcgan", "lsgan", "gan", "vae"] and not notes
    assert [row["rank"] for row in table["rows"]] == [1, 2, 2, None]
    assert table["floors"] == {"FID[mnist-cnn]": 0.9}
    assert "p < 0.05" in table["test"] and "Smyth 2004" in table["test"]
    assert table["floor_stds"] == {"FID[mnist-cnn]": None}, "scores of older versions have none"
    assert rows(table)[-1][3] == "0.9"
    for record in records:
        record["score"]["metrics"]["FID[mnist-cnn]"]["floor_std"] = 0.037
    (table,), _ = tables(records)
    assert rows(table)[-1][3] == "0.900 ± 0.037"


def test_runs_on_different_images_are_not_seeds_of_one_row() -> None:
    records = [fake_record("vae", 0, 100.0), fake_record("vae", 1, 50.0)]
    records[1]["data_digest"] = "9876543210"
    (table,), notes = tables(records)
    assert [row["label"] for row in table["rows"]] == ["vae, images 98765432", "vae, images 01234567"]
    assert "different images" in notes[0]


def test_score_curves_of_other_epochs_make_no_mean() -> None:
    records = [fake_record("vae", seed, 100.0) for seed in (0, 1)]
    for record, epochs in zip(records, ([1, 2, 3], [3]), strict=True):
        record["curve"] = {"name": "FID[mnist-cnn]", "n": 2000, "points": [[epoch, 10.0 - epoch] for epoch in epochs]}
    assert tables(records)[0][0]["rows"][0]["curve"] is None
    records[1]["curve"] = {**records[0]["curve"], "points": [[1, 9.0], [2, 5.0], [3, 8.0]]}
    assert tables(records)[0][0]["rows"][0]["curve"]["best"]["values"] == [7.0, 5.0]


def test_a_run_without_its_log_is_still_compared() -> None:
    record = {**fake_record("vae", 0, 100.0), "images_per_s": None}
    found, notes = tables([record])
    plain = {"title": "p[/b]", "made_by": {}, "tables": found, "notes": notes, "failures": [], "runs": []}
    made = read(plain)
    assert found[0]["rows"][0]["images_per_s"] is None and "| – |" in markdown(made) and "vae" in terminal(made)


def test_a_score_that_no_run_has_does_not_rank_in_silence() -> None:
    (table,), (note,) = tables([fake_record("vae", 0, 100.0)], "Label-accuracy")
    assert table["ranked_by"] == "FID[mnist-cnn]" and "no run has a Label-accuracy" in note


def test_a_setting_that_differs_makes_a_row_of_its_own() -> None:
    records = [fake_record("gan", 0, 100.0), fake_record("gan", 0, 50.0)]
    records[1]["config"]["lr"] = 2e-4
    (table,), _ = tables(records)
    assert [row["label"] for row in table["rows"]] == ["gan, lr 0.0002", "gan"]


def test_equal_values_have_no_spread() -> None:
    assert spread([0.4425, 0.4425, 0.4425]).std == 0 and spread([1.0]).std is None


def test_csv_has_a_line_a_run_and_numbers_in_full() -> None:
    run = {**fake_record("vae", 0, 1 / 3), "label": "vae, lr 1, x"}
    assert (
        to_csv([of_json(run, RunRow)]).splitlines()[1]
        == f'"vae, lr 1, x",vae,mnist,0,10,{run["path"]},{1 / 3},1.0,1.0,1'
    )
