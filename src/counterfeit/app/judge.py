"""The pages of who gives a human test: set one up, let people join, read the numbers, store them beside the scores."""

from __future__ import annotations

import threading
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from counterfeit.app import qr
from counterfeit.app.people import link, tests
from counterfeit.app.room import Room, changes, html, shelf, shows
from counterfeit.errors import InputError
from counterfeit.human import intervals
from counterfeit.human.design import EXPOSURES, MOST_RATERS, Design
from counterfeit.human.lines import as_line
from counterfeit.human.prepare import prepared
from counterfeit.human.score import publish as to_scores
from counterfeit.human.score import receipt_of
from counterfeit.human.statistics import Results, results
from counterfeit.human.store import Store
from counterfeit.run import Run
from counterfeit.system import words
from counterfeit.system.files import as_json

SHARES = (0.45, 0.40, 0.30, 0.20)  # told from 50 % on the page of how many raters
IMAGES = (20, 50, 100, 200)
MODES = (("", "as long as one likes (HYPE)"), *((str(ms), f"{ms} ms, then a mask") for ms in EXPOSURES))
_preparing = threading.Lock()


def page(request: Request) -> Response:
    """All tests, and the form that sets one up, in which the run of the query is chosen."""
    found: list[dict[str, Any]] = []
    for code in tests(request).codes():
        try:
            test = tests(request).test(code)
        except InputError as error:
            found.append({"code": code, "fault": str(error)})
            continue
        progress = test.progress()
        finished = sum(done == of for _, done, of in progress)
        found.append({"code": code, "test": test, "raters": len(progress), "finished": finished})
    runs = [run for run in shelf(request).runs() if run.folder.holds_checkpoint()]
    chosen, design = request.query_params.get("run"), Design(models=1, fakes=20)
    return html(request, "judge.html", tests=found, runs=runs, chosen=chosen, modes=MODES, design=design)


def start(request: Request, posted: dict[str, Any]) -> Response:
    """Sample the chosen runs and make a test of them, which takes as long as sampling does."""
    chosen = posted.get("runs")
    ids = [str(id) for id in chosen] if isinstance(chosen, list) else []
    if not ids:
        raise InputError("no run is chosen: choose one or more")
    exposure = _whole(posted, "exposure") if posted.get("exposure") else None
    numbers = {name: _whole(posted, name) for name in ("fakes", "raters", "seed")}
    design = Design(models=len(ids), exposure=exposure, **numbers)
    folders = [shelf(request).folder(id) for id in ids]
    if not _preparing.acquire(blocking=False):
        raise InputError("another test is being prepared: wait for it")
    try:
        runs = [Run(folder.path, name=str(folder)) for folder in folders]
        code, path = tests(request).new()
        prepared(runs, design, path).close()
    finally:
        _preparing.release()
    return JSONResponse({"code": code})


def _whole(posted: dict[str, Any], name: str) -> int:
    """A number of the form. Raises InputError."""
    text = str(posted.get(name, "")).strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise InputError(f"{name}: {text!r} is not a whole number")
    return int(text)


def invite(request: Request) -> Response:
    """The link and its QR code, and how far the raters are."""
    code, test = _code(request), _test(request)
    where = link(request, code)
    return html(request, "invite.html", code=code, test=test, link=where, qr=qr.svg(where), progress=test.progress())


def progress(request: Request) -> Response:
    """How far the raters are: the part of the page that changes."""
    return html(request, "progress.html", progress=_test(request).progress(), test=_test(request))


def numbers(request: Request) -> Response:
    """The numbers of the judgements so far."""
    test = _test(request)
    found = results(test.judgements())
    return html(
        request,
        "judged.html",
        code=_code(request),
        test=test,
        found=found,
        chart=chart(found),
        counted=[one for one in found.raters if not one.fault],
        apart=[one for one in found.raters if one.fault],
        real=test.facts()["receipt"].get("real", {}),
    )


def chart(found: Results) -> list[dict[str, Any]]:
    """Rows of the chart of intervals: name, value and its two ends, in percent; real against real is the last."""
    rows = [(one.model, one.hype) for one in sorted(found.models, key=lambda one: -one.hype.value)]
    rows += [("real against real", found.baseline)] if found.baseline else []
    return [
        {"name": words.shortened(name, 40), "value": 100 * one.value, "low": 100 * low, "high": 100 * high}
        for name, one in rows
        if one.interval is not None
        for low, high in [one.interval]
    ]


def lines(request: Request) -> Response:
    """All judgements as lines of JSON."""
    test = _test(request)
    content = b"".join(map(as_line, test.judgements()))
    return Response(content, media_type="application/jsonl", headers=_as_file(f"judgements-{test.id}.jsonl"))


def receipt(request: Request) -> Response:
    """The receipt of the test."""
    test = _test(request)
    return Response(
        as_json(receipt_of(test)), media_type="application/json", headers=_as_file(f"receipt-{test.id}.json")
    )


def _as_file(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


def publish(request: Request, posted: dict[str, Any]) -> Response:
    """Store the numbers in the runs' scores folders, where `compare` and `report` find them."""
    test = _test(request)
    there = {str(run.folder.path) for run in shelf(request).runs()}
    places = {name: path for name, path in test.facts()["places"].items() if path in there}
    if not results(test.judgements(), draws=2).models:
        raise InputError("no rater can be counted yet")
    scores = to_scores(test, [Run(path, name=name) for name, path in places.items()])
    left = len(test.models) - len(scores)
    more = f"; not in {words.count(left, 'other')}, which is gone or has other weights now" if left else ""
    return JSONResponse({"said": f"stored in the scores folder of {words.count(len(scores), 'run')}{more}"})


def raters(request: Request) -> Response:
    """How many raters tell shares from 50 %, by how many images each judges and how unlike they are."""
    tables = [
        {
            "kind": kind,
            "spread": spread,
            "rows": [(share, [intervals.needed(share, n, spread).raters for n in IMAGES]) for share in SHARES],
        }
        for kind, spread in intervals.SPREADS.items()
    ]
    return html(request, "raters.html", tables=tables, images=IMAGES, most=MOST_RATERS)


def _code(request: Request) -> str:
    return str(request.path_params["code"])


def _test(request: Request) -> Store:
    return tests(request).test(_code(request))


ROOM = Room(
    [
        shows("/judge", page),
        changes("/judge/start", start),
        shows("/judge/how-many", raters),
        shows("/judge/of/{code}", invite),
        shows("/judge/of/{code}/progress", progress),
        shows("/judge/of/{code}/results", numbers),
        shows("/judge/of/{code}/judgements.jsonl", lines),
        shows("/judge/of/{code}/receipt.json", receipt),
        changes("/judge/of/{code}/publish", publish),
    ],
    title="Judge",
    path="/judge",
)
