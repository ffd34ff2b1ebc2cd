"""Networks of one model beside each other, for equal minutes: those decide what a recipe has, not equal steps.

    python benchmarks/equal.py [--only flow sngan …] [--minutes 4]

Steps of each are timed by the seconds of one thread, so that other work on the machine costs caches only, and as many
are trained as so many of its minutes hold, on MNIST. A row that was measured before stays until it is measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.runs import provenance
from counterfeit.settings import option
from counterfeit.system.files import write_json
from our_loop import steps_of

RESULTS = Path(__file__).parent / "results" / "equal.json"
DATA, SCORED = "mnist", 2_000
WARM, TIMED = 3, 12  # steps
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "flow": [{"net": net} for net in ("patch-unet", "unet", "dit")],
    "sngan": [{"encoder_width": width, "decoder_width": width} for width in (8, 16, 32)],
}


def seconds_of_step(name: str, settings: dict[str, Any], images: cf.ImageSet) -> float:
    """Of one thread."""
    spec = MODELS[name]
    model = build(spec, spec.settings.replace(settings), images.shape, len(images.classes))
    steps = steps_of(model, name, images, **settings)
    for _ in range(WARM):
        next(steps)
    begun = time.thread_time()
    for _ in range(TIMED):
        next(steps)
    return (time.thread_time() - begun) / TIMED


def row_of(name: str, settings: dict[str, Any], minutes: float) -> dict[str, Any]:
    each = seconds_of_step(name, settings, cf.load_data(DATA))
    steps = round(minutes * 60 / each)
    with TemporaryDirectory() as home:
        run = cf.train(name, DATA, out=Path(home) / "run", steps=steps, quiet=True, **settings)
        scores = run.score(n=SCORED, metrics=["fid", "prdc"])
    found = {label.partition("[")[0]: value.value for label, value in scores.items()}
    options = " ".join(f"{option(key)} {value}" for key, value in settings.items())
    weights = sum(parameter.numel() for parameter in run.model.parameters())
    row = {"model": name, "options": options, "minutes": minutes, "steps": steps, "ms_per_step": round(1e3 * each, 1)}
    return row | {"weights": weights} | {key: found[key] for key in ("FID", "PRDC-precision", "PRDC-recall")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--minutes", type=float, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    rows = {(row["model"], row["options"]): row for row in before}
    for name in args.only:
        for settings in VARIANTS[name]:
            row = row_of(name, settings, args.minutes)
            rows[name, row["options"]] = row
            write_json(RESULTS, {"rows": list(rows.values()), "n": SCORED, "made_by": provenance(torch.device("cpu"))})
            print(row, flush=True)


if __name__ == "__main__":
    main()
