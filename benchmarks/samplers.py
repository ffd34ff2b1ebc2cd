"""Where latents come from against FID: the model's own distribution, a fitted Gaussian, fitted mixtures.

    python benchmarks/samplers.py [--runs runs/samplers] [--models ae vae conv-vae] [--seeds 0 1 2]

Runs that are not in the folder are trained there with the models' own settings, on MNIST. Each is scored by 10,000
samples against the test set.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/samplers"))
    parser.add_argument("--models", nargs="+", default=["ae", "vae", "conv-vae"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for model in args.models:
        for seed in args.seeds:
            path = args.runs / f"{model}-mnist-s{seed}"
            run = cf.load(path) if path.exists() else cf.train(model, "mnist", seed=seed, out=path)
            run.score(n=100, metrics=["fid"])  # reads what every score needs
            new = [{"model": model, "seed": seed, **measured(run, options)} for options in SAMPLERS]
            rows = [row for row in rows if (row["model"], row["seed"]) != (model, seed)] + new
            write_json(RESULTS, {"rows": rows, "made_by": provenance(torch.device("cpu"))})
            for row in new:
                print(row, flush=True)


if __name__ == "__main__":
    main()
