"""comparison.json as records: what is read is written again, byte for byte, and older files can be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfeit.comparison.render import markdown, to_csv
from counterfeit.comparison.work import Done, message, result_of
from counterfeit.report import render
from counterfeit.report.records import Comparison, Metric, RunRow, of_json, to_json
from counterfeit.system.files import as_json
from counterfeit.system.reading import Malformed
from report_cases import comparison, read

PUBLISHED = sorted((Path(__file__).parent.parent / "benchmarks/results").glob("*/comparison.json"))


@pytest.mark.parametrize("name", ["FID[mnist-cnn]", "C_T (test)[inception]", "FID[a[b]]", "CAS"])
def test_a_metric_is_its_label_and_its_detector(name: str) -> None:
    metric = Metric.of(name)
    assert str(metric) == name and Metric.of(metric) is metric and metric in {Metric(metric.label, metric.detector)}
    assert metric != Metric(metric.label, "another") and metric != name


def test_what_is_read_is_written_again_byte_for_byte() -> None:
    written = as_json(to_json(read(comparison(models=["vae", "cvae", "gan"], data=["mnist", "cifar10"]))))
    assert as_json(to_json(of_json(json.loads(written), Comparison))) == written


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_a_comparison_of_an_older_version_is_shown(path: Path) -> None:
    """Without loss curves, paths of data, and the spread of what real images get."""
    plain = json.loads(path.read_bytes())
    found = of_json(plain, Comparison)
    assert to_csv(found.runs) == (path.parent / "table.csv").read_text()
    page, text = render(found, {}), markdown(found)
    for table in plain["tables"]:
        best = table["rows"][0]
        assert f"| {best['label']} | {len(best['seeds'])} |" in text and best["label"] in page


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [("seed", "0", "seed"), ("curve", {"name": 3, "n": 1, "points": []}, "name"), ("losses", {"a": ["x"]}, "losses")],
)
def test_what_no_comparison_holds_is_refused(part: str, value: object, says: str) -> None:
    run = {**comparison()["runs"][0], part: value}
    with pytest.raises(Malformed, match=says):
        of_json(run, RunRow)


def test_a_result_comes_back_from_another_process_as_it_was() -> None:
    for run in read(comparison(models=["cvae"])).runs:
        assert result_of(message(Done(run))) == Done(run)
