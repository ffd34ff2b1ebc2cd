"""The figures in README and docs are those of benchmarks/results, and not typed by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from counterfeit.models import MODELS

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))
import publish  # noqa: E402
import score_checks  # noqa: E402
from tables import scores  # noqa: E402


@pytest.mark.parametrize("page", publish.PAGES, ids=lambda p: p.name)
def test_the_seed_grids_figures(page: Path) -> None:
    text = page.read_text()
    assert text == publish.filled(text, publish.read()), "run benchmarks/publish.py"


def test_the_minutes_that_the_list_says() -> None:
    assert json.loads(publish.MINUTES.read_text()) == publish.minutes(publish.read()), "run benchmarks/publish.py"


def test_every_model_has_its_figures() -> None:
    blocks = {(m[2], m[3]) for page in publish.PAGES for m in publish.BLOCK.finditer(page.read_text())}
    rows = [row for grid in scores.GRIDS for table in publish.read()[grid]["tables"] for row in table["rows"]]
    exact = {MODELS[row["model"]].based_on or row["model"] for row in rows}
    assert exact >= {name for name, spec in MODELS.items() if spec.published and not spec.based_on}
    tuned = {spec.based_on for spec in MODELS.values() if spec.based_on}
    wanted = {("model", name) for name in exact} | {("search", name) for name in tuned}
    wanted |= {(kind, data) for kind in ("data", "tuned", "calibration") for data in ("mnist", "cifar10")}
    wanted |= {("frontier", data) for data in publish.frontier.DATA}
    wanted |= {(kind, "mnist") for kind in ("speed", "quality", "losses")}
    wanted |= {("family", family) for family in publish.frontier.FAMILIES}
    assert blocks == wanted | {
        ("explore", "all"),
        *(("codes", which) for which in ("epochs", "samples")),
        *(("loops", which) for which in ("rates", "peers")),
        *(("planted", which) for which in ("failures", "rates")),
        *(("steps", model) for model in ("flow", "ddpm")),
        ("guidance", "cflow"),
        *(("equal", model) for model in ("flow", "sngan")),
        *(("trials", model) for model in ("acgan", "conv-vae", "cr3gan", "flow", "r3gan", "wgan-gp")),
        *((kind, "all") for kind in ("few", "budget", "nets", "drawn", "goals")),
        ("raters", "all"),
        ("attacks", "all"),
        *(("load", which) for which in ("all", "training")),
        ("commands", "all"),
        ("commands", "samples"),
        ("copies", "cifar10"),
        ("copies", "mnist"),
        ("bombs", "all"),
        *(("busy", which) for which in ("all", "idle", "together", "limits")),
        ("floors", "all"),
        ("floors", "fresh"),
        ("memory", "points"),
        ("memory", "million"),
        *(("gpu", which) for which in ("machine", "rates", "runs")),
        *(("ranks", which) for which in ("tests", "chosen", "noise")),
        *((kind, "all") for kind in ("layers", "compiled", "pairs", "profiles", "reuse", "samplers", "scoring", "cas")),
    }


def test_the_tour_stops_at_every_model() -> None:
    told = {model for family in publish.frontier.FAMILIES.values() for model in family}
    assert told == {name for name, spec in MODELS.items() if not spec.based_on}


def test_the_score_checks() -> None:
    results = json.loads((ROOT / "benchmarks/results/score-checks.json").read_text())
    assert (ROOT / "docs/score-checks.md").read_text() == score_checks.page(results), "run score_checks.py --page"
