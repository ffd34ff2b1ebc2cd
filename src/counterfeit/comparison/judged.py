"""The human test in a comparison: its scores beside those of the same runs, and what a reader of that column must know.

The score of a test is not comparable with that of another, which other people took: each has a column of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from counterfeit.human.score import LABEL, by_people
from counterfeit.report.records import Metric, RunRow
from counterfeit.run import Run
from counterfeit.system import words

Json = dict[str, Any]


def with_people(score: Json, run: Run) -> Json:
    """The score of a run, with those that people gave it; their tests are in the receipt, each under its column."""
    metrics, tests = dict(score["metrics"]), {}
    for test, found in by_people(run):
        name = f"{LABEL}[{test['protocol']} {test['test']}]"
        metrics[name] = next(iter(found.to_dict()["metrics"].values()))
        tests[name] = found.receipt
    if not tests:
        return score
    return {"metrics": metrics, "receipt": {**score["receipt"], LABEL: tests}}


def of_one_test(runs: Sequence[RunRow]) -> tuple[list[RunRow], list[str]]:
    """The runs, with `human[hype-inf]` for a test that is the only one of its protocol; sentences for the reader."""
    tests = dict.fromkeys(name for run in runs for name in run.score.metrics if name.label == LABEL)
    by_protocol: dict[str, list[Metric]] = {}
    for name in tests:
        by_protocol.setdefault(name.detector.split()[0], []).append(name)
    short = {of[0]: Metric(LABEL, protocol) for protocol, of in by_protocol.items() if len(of) == 1}
    notes = [
        f"{LABEL}[{protocol}]: {len(of)} tests, each with a column of its own, since other people took them"
        for protocol, of in by_protocol.items()
        if len(of) > 1
    ]
    for name in tests:
        judged = [run for run in runs if name in run.score.metrics]
        others = {run.model for run in judged} & {run.model for run in runs if run not in judged}
        of = {run.path: run.score.metrics[name].extras for run in judged}
        who = words.count(int(of[judged[0].path].get("raters", 0)), "rater")
        ends = [f"{path} {low:.3f} to {high:.3f}" for path, one in of.items() for low, high in _interval(one)]
        about = f"{short.get(name, name)}: share misjudged by {who}, 0.5 if none can be told"
        about += f"; 95 % intervals: {words.listed(ends)}" if ends else ""
        only = f"; people judged {words.listed(run.path for run in judged)} only" if others else ""
        notes.append(about + only)
    return [_renamed(run, short) for run in runs], notes


def _interval(extras: Mapping[str, float]) -> list[tuple[float, float]]:
    """Both ends, if the score has them."""
    low, high = extras.get("interval_low"), extras.get("interval_high")
    return [] if low is None or high is None else [(low, high)]


def _renamed(run: RunRow, names: dict[Metric, Metric]) -> RunRow:
    metrics = {names.get(name, name): value for name, value in run.score.metrics.items()}
    if LABEL not in run.score.receipt:
        return run
    tests = {str(names.get(Metric.of(name), name)): test for name, test in run.score.receipt[LABEL].items()}
    receipt = {**run.score.receipt, LABEL: tests}
    return replace(run, score=replace(run.score, metrics=metrics, receipt=receipt))
