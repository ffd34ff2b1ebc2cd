"""The result of a test as a score of each run, stored in its scores folder with a receipt and found there again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypedDict

import torch
from msgspec import Meta

from counterfeit.human import raters
from counterfeit.human.lines import Judgement, as_line
from counterfeit.human.statistics import LEVEL, ONE_RATER, OVER_RATERS, OfModel, Results, results
from counterfeit.human.store import Store
from counterfeit.run import Run
from counterfeit.scoring.receipt import made_here, of_code
from counterfeit.scoring.score import Score, Scored, ignored, stored
from counterfeit.system import reading, words
from counterfeit.system.console import say

LABEL = "human"
Json = dict[str, Any]


class OfTest(TypedDict):
    """What is read again of the part of a receipt that describes a test."""

    test: Annotated[str, Meta(pattern=r"\A[0-9a-f]{12}\Z")]
    protocol: Annotated[str, Meta(pattern=r"\A(hype-inf|[0-9]+ms)\Z")]
    raters: int


def publish(store: Store, runs: Sequence[Run]) -> list[Score]:
    """Store the test's present result in the scores folder of each of its runs, in the place of an earlier one.

    A run whose weights are not those that were judged is left out, and a line says so.
    """
    judgements = store.judgements()
    found, facts = results(judgements), store.facts()["receipt"]
    of_models = {one.model: one for one in found.models}
    scores = []
    for run in runs:
        judged = facts["models"].get(run.name)
        if judged is None or run.name not in of_models:
            continue
        if judged["digest"] != run.weights_sha256:
            say(f"{run.name}: not scored, since its weights are not those that were judged")
            continue
        score = _score(of_models[run.name], found, judged, facts["real"], of_test(store, judgements, found))
        score = score.noted(*run.trained.unfinished(), *run.trained.selected())
        run.folder.write_score(f"{LABEL}-{store.design.protocol}-{store.id}", score.to_dict())
        scores.append(score)
    return scores


def _score(one: OfModel, found: Results, generated: Json, real: Json, of_test: Json) -> Score:
    """The score of one model; its receipt has the parts of every other receipt, and one on the test."""
    hype, baseline = one.hype, found.baseline
    assert hype.interval is not None and found.reals is not None
    count = len(found.counted)
    kind = f"standard error over {count} raters" if count > 1 else "standard error of one rater's judgements"
    extras = {
        "interval_low": hype.interval[0],
        "interval_high": hype.interval[1],
        "error_on_fakes": one.fakes.value,
        "error_on_reals": found.reals.value,
        "d_prime": one.d_prime.value,
        "criterion": one.criterion.value,
        "raters": float(count),
        "judgements": float(one.judgements),
    }
    if hype.bootstrap:
        extras |= {"bootstrap_low": hype.bootstrap[0], "bootstrap_high": hype.bootstrap[1]}
    scored = Scored(hype.value, hype.error, kind, None, "higher", extras, found.notes)
    if baseline is not None:
        floor = {"floor": baseline.value, "floor_std": baseline.error, "floor_draws": 1}
        scored = Scored(**{**vars(scored), **floor})
    receipt = {
        "generated": generated,
        "real": real,
        LABEL: of_test,
        **of_code({"human": ("human",)}),
        **made_here(torch.device("cpu")),
    }
    return Score({f"{LABEL}[{of_test['protocol']}]": scored}, receipt)


def of_test(store: Store, judgements: Sequence[Judgement], found: Results) -> Json:
    """The part of a receipt that describes the test: enough to hold its lines of JSON and its images against it."""
    facts, design, joined = store.facts(), store.design, store.raters()
    lines = b"".join(map(as_line, judgements))
    images = json.dumps(sorted({one.image for one in judgements}))
    return {
        "test": store.id,
        "protocol": design.protocol,
        "exposure_ms": design.exposure,
        "models": store.models,
        "raters": len(found.counted),
        "apart": [{"rater": one.number, "why": one.fault} for one in found.raters if one.fault],
        "images_per_rater": {"judged": design.judged, "noise": design.noise, "repeats": design.repeats},
        "order_seed": design.seed,
        "judgements": len(judgements),
        "judgements_sha256": hashlib.sha256(lines).hexdigest(),
        "images_sha256": hashlib.sha256(images.encode()).hexdigest(),
        "created": facts["created"],
        "first_answer": min((one.time for one in judgements), default=None),
        "last_answer": max((one.time for one in judgements), default=None),
        "interval": f"{LEVEL:.0%}, {ONE_RATER if len(found.counted) == 1 else OVER_RATERS}",
        "counted_if": {
            "noise_by_coin_below": raters.COIN,
            "reals_called_fake_at_most": raters.FAKE,
            "done": raters.LEAST_DONE,
        },
        "browsers": sorted({str(one.get("browser", words.CANNOT_BE_TOLD)) for one in joined}),
        "screens": [{"rater": one["number"], **one.get("screen", {})} for one in joined],
    }


def receipt_of(store: Store) -> Json:
    """The receipt of a test as a whole: its models and real images, and `of_test`."""
    judgements = store.judgements()
    return {**store.facts()["receipt"], LABEL: of_test(store, judgements, results(judgements))}


def by_people(run: Run) -> Iterator[tuple[OfTest, Score]]:
    """The scores in the run's folder that people gave to its present weights, and the test of each.

    They are recognized by their receipts. Files that cannot be read are left out: `comparison.scored` names them. One
    that can, and is not as `publish` writes it, is named here.
    """
    for path in sorted((run.path / "scores").glob("*.json")):
        try:
            score = stored(path)
        except (OSError, reading.Malformed):
            continue
        if LABEL not in score.receipt:
            continue
        try:
            test = reading.converted(score.receipt[LABEL], OfTest)
            if list(score) != [name := f"{LABEL}[{test['protocol']}]"]:
                raise reading.Malformed(f"it must hold {name} alone")
        except reading.Malformed as error:
            ignored(path, error)
            continue
        if score.receipt.get("generated", {}).get("digest") == run.weights_sha256:
            yield test, score
