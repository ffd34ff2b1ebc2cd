"""Find existing scores of runs in their scores folders, by receipt rather than by file name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from counterfeit.comparison.grid import Member
from counterfeit.comparison.table import protocol, protocol_identity
from counterfeit.errors import InputError
from counterfeit.metrics import METRICS
from counterfeit.run import Run
from counterfeit.scoring import Score, Scorer, judge
from counterfeit.scoring.receipt import DRAWING, SCORING, identity, of_code, unidentified
from counterfeit.scoring.score import ignored, stored
from counterfeit.settings import ScoreConfig
from counterfeit.system import reading, words
from counterfeit.system.console import say
from counterfeit.system.words import label_and_detector

Json = dict[str, Any]

DRAW = ("n", "seed", "repeats")  # settings that a receipt stores as given


def kept_score(run: Run, config: ScoreConfig, scorer: Scorer) -> Json | None:
    """The same measurement of the run's present weights, from its scores folder, or None.

    It is recognized by its receipt, whatever its file name, and may contain more metrics than requested.
    """
    fakes = run.generated().at_size(config.size)
    names = judge.metric_names(config, scorer, fakes)
    of = scorer.detector.name
    labels = {f"{label}[{of}]": METRICS[name].better for name in names for label in METRICS[name].labels}
    wanted = scorer.measured(fakes, config.n, config.seed, config.repeats)
    if unidentified(wanted):
        return None
    for score in _stored(run):
        if _canonical(score.receipt) == _canonical(wanted) and set(labels) <= set(score.metrics):
            metrics = {label: score.metrics[label] for label in labels}
            if all(metrics[label].better == better for label, better in labels.items()):
                return Score(metrics, score.receipt).to_dict()
    return None


def shared_scores(
    members: Sequence[Member],
    draw: Mapping[str, Any],
    ranked_by: str | None,
    device: str = "auto",
    quiet: bool = False,
) -> dict[str, Json]:
    """Scores by run path, for data sets whose finished runs have all been scored in the same way.

    They are of each run's present weights, by the present code. If there are several such measurements, the one with
    the most samples is taken, then the one with the most metrics; a message says which. Data sets without one are left
    out.

    Args:
        members: the runs.
        draw: settings of DRAW that the scores must have; others may have any value.
        ranked_by: label of a score that must be included.
        device: where runs are loaded.
        quiet: leave out the message.
    """
    of_data: dict[str, list[tuple[str, dict[str, Score]]]] = {}
    for member in members:
        try:
            run = Run(member.path, device, member.path)
            if run.folder.finished():
                found = _measurements(run, draw, ranked_by)
                of_data.setdefault(run.data.path or run.data.name, []).append((member.path, found))
        except InputError:  # reported as a failure of the comparison, which opens the run again
            continue
    taken: dict[str, Json] = {}
    for runs in of_data.values():
        if common := set.intersection(*(set(found) for _, found in runs)):
            best = max(sorted(common), key=lambda one: _size([found[one] for _, found in runs]))
            scores = {path: found[best] for path, found in runs}
            if not quiet:
                say(f"{words.count(len(runs), 'run')} scored already, nothing is scored again: {_in_words(scores)}")
            taken |= {path: score.to_dict() for path, score in scores.items()}
    return taken


def _measurements(run: Run, draw: Mapping[str, Any], ranked_by: str | None) -> dict[str, Score]:
    """The run's score with the most metrics, by what two runs must share to be compared, seed included."""
    best: dict[str, Score] = {}
    for score in _stored(run):
        generated = score.receipt.get("generated", {})
        labels = {label_and_detector(name)[0] for name in score.metrics}
        fits = all(generated.get(name) == value for name, value in draw.items()) and ranked_by in (None, *labels)
        usual = generated.get("sampling", {}) == run.options.to_dict()
        if fits and usual and _is_current(score.receipt, run):
            key = json.dumps([protocol_identity(protocol(score.receipt)), generated["seed"]])
            best[key] = max(best.get(key, score), score, key=len)
    return best


def _is_current(receipt: Json, run: Run) -> bool:
    """Whether a score is of the run's present weights, by the present code and versions of the libraries."""
    generated = receipt.get("generated", {})
    here = identity(of_code({**SCORING, **DRAWING}))
    versions = {name: version for name, version in receipt.get("versions", {}).items() if name in here["versions"]}
    return (
        "detector" in receipt  # otherwise it is a CAS
        and not unidentified(receipt)
        and generated.get("digest") == run.weights_sha256
        and generated.get("plugin") == run.trained.facts().get("plugin")
        and {"code": receipt.get("code"), "versions": versions} == here
    )


def _size(scores: Sequence[Score]) -> tuple[int, int]:
    return scores[0].receipt["generated"]["n"], sum(map(len, scores))


def _in_words(scores: Mapping[str, Score]) -> str:
    """`FID and KID of 200 samples, seed 0, against 10,000 images of mnist:test, by mnist-cnn`."""
    labels = dict.fromkeys(label_and_detector(name)[0] for score in scores.values() for name in score)
    receipt = next(iter(scores.values())).receipt
    generated = receipt["generated"]
    draws = "" if generated["repeats"] == 1 else f", {generated['repeats']} draws"
    return (
        f"{words.listed(labels)} of {generated['n']:,} samples, seed {generated['seed']}{draws}, against "
        f"{words.compared_with(receipt['real'])}, by {receipt['detector']['name']} ({receipt['detector']['protocol']})"
    )


def _stored(run: Run) -> Iterator[Score]:
    """Yield the scores in the run's folder; print a line for each file that cannot be read."""
    for path in sorted((run.path / "scores").glob("*.json")):
        try:
            yield stored(path)
        except (OSError, reading.Malformed) as error:
            ignored(path, error)


def _canonical(receipt: Mapping[str, Any]) -> str:
    """A receipt's identity as text, in which 1, 1.0 and true are different."""
    return json.dumps(identity(receipt), sort_keys=True)
