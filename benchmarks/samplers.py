"""Where latents come from against FID: the model's own distribution, a fitted Gaussian, fitted mixtures, a second VAE.

    python benchmarks/samplers.py [--runs runs/samplers] [--models ae vae conv-vae] [--seeds 0 1 2] [--samplers …]

Runs that are not in the folder are trained there with the models' own settings, on MNIST. Each is scored by 10,000
samples against the test set. A row that was measured before stays until it is measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "samplers.json"
SAMPLERS: tuple[dict[str, Any], ...] = (
    {"sampler": "own"},
    {"sampler": "gaussian"},
    {"sampler": "gmm", "components": 10},
    {"sampler": "gmm", "components": 30},
    {"sampler": "two-stage"},
)
METRICS = ("FID", "PRDC-precision", "PRDC-recall")


def measured(run: cf.Run, options: dict[str, Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    fitted = run.with_sampling(**options)
    fitted.sample(1)
    seconds = time.perf_counter() - begun
    score = fitted.score(n=10_000, metrics=["fid", "prdc"])
    values = {name: score[f"{name}[mnist-cnn]"].value for name in METRICS}
    return {**options, "seconds": round(seconds, 1), **values}


def place(row: dict[str, Any]) -> tuple[str, int, int]:
    """Where a row of results stands: by model, sampler and seed."""
    sampler = next(i for i, options in enumerate(SAMPLERS) if options.items() <= row.items())
    return row["model"], sampler, row["seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/samplers"))
    parser.add_argument("--models", nargs="+", default=["ae", "vae", "conv-vae"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    names = list(dict.fromkeys(options["sampler"] for options in SAMPLERS))
    parser.add_argument("--samplers", nargs="+", default=names, choices=names)
    args = parser.parse_args()
    asked = [options for options in SAMPLERS if options["sampler"] in args.samplers]
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for model in args.models:
        for seed in args.seeds:
            path = args.runs / f"{model}-mnist-s{seed}"
            run = cf.load(path) if path.exists() else cf.train(model, "mnist", seed=seed, out=path)
            run.score(n=100, metrics=["fid"])  # reads what every score needs
            new = [{"model": model, "seed": seed, **measured(run, options)} for options in asked]
            measured_now = [{"model": model, "seed": seed, **options}.items() for options in asked]
            rows = sorted([row for row in rows if not any(of <= row.items() for of in measured_now)] + new, key=place)
            write_json(RESULTS, {"rows": rows, "made_by": provenance(torch.device("cpu"))})
            for row in new:
                print(row, flush=True)


if __name__ == "__main__":
    main()
