"""Steps of a sampler against the quality of its samples, and of a conditional flow the scale of guidance.

    python benchmarks/steps.py --runs runs/frontier/{flow,ddpm,cflow}-mnist-s0 [-n 2000] [--steps 2 4 8 16 32 64]

Of a conditional run the scale of guidance varies, of every other one the number of network runs per image: a solver
that needs two for a step takes half as many steps. All samples of a run are of one seed. A row that was measured before
stays until its run has other weights or n is another. Scores are also kept in the runs' own folders.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "steps.json"
RUNS_OF = {"euler": 1, "midpoint": 2, "heun": 2}  # of the network, for a step
SCALES = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)
METRICS = {"fid": ("FID",), "prdc": ("PRDC-precision", "PRDC-recall"), "label-accuracy": ("Label-accuracy",)}


def variants(run: cf.Run, network_runs: list[int], solver_steps: int) -> Iterator[dict[str, Any]]:
    """Options of sampling, a row each."""
    if MODELS[run.model_name].conditional:
        yield from ({"guidance": scale, "steps": solver_steps} for scale in SCALES)
    elif hasattr(run.options, "solver"):
        for solver, each in RUNS_OF.items():
            yield from ({"solver": solver, "steps": n // each} for n in network_runs if n >= each)
    else:
        yield from ({"steps": n} for n in network_runs)


def measured(run: cf.Run, options: dict[str, Any], n: int) -> dict[str, Any]:
    """A row: the options, and what the samples get."""
    asked = [name for name in METRICS if name != "label-accuracy" or MODELS[run.model_name].conditional]
    begun = time.perf_counter()
    score = run.with_sampling(**options).score(n=n, metrics=asked)
    seconds = round(time.perf_counter() - begun, 1)
    by_label = {name.partition("[")[0]: found.value for name, found in score.items()}
    values = {label: by_label[label] for name in asked for label in METRICS[name]}
    row = {"model": run.model_name, "data": run.data.name, "weights": run.weights_sha256, "n": n, **options}
    return {**row, "detector": score.receipt["detector"]["name"], **values, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64], help="network runs per image")
    parser.add_argument("--solver-steps", type=int, default=10, help="of every row with guidance")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows = json.loads(args.out.read_text())["rows"] if args.out.exists() else []
    for run in map(cf.load, args.runs):
        known = {"data": run.data.name, "weights": run.weights_sha256, "n": args.n}
        before = [row for row in rows if row["model"] == run.model_name and known.items() <= row.items()]
        others, of_run = [row for row in rows if row["model"] != run.model_name], []
        for options in variants(run, args.steps, args.solver_steps):
            row = next((row for row in before if options.items() <= row.items()), None)
            of_run.append(row or measured(run, options, args.n))
            rows = [*others, *of_run, *(row for row in before if row not in of_run)]  # a stop loses none
            write_json(args.out, {"rows": rows, "made_by": provenance(torch.device("cpu"))})
            print(json.dumps(of_run[-1]), flush=True)
        rows = [*others, *of_run]
        write_json(args.out, {"rows": rows, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
