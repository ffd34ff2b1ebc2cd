"""The codebook of a VQ-VAE over its epochs, and its samples by the learned prior against codes that are drawn evenly.

    python benchmarks/codes.py --run runs/frontier/vq-vae-mnist-s0 [-n 10000]

Use and losses are those of the run's log at the end of every epoch; the scores are also kept in the run's folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "codes.json"
LOGGED = ("reconstruction", "used", "perplexity", "prior")
METRICS = ("FID", "PRDC-precision", "PRDC-recall")
PRIORS: tuple[dict[str, Any], ...] = (
    {"prior": "learned"},
    {"prior": "learned", "temperature": 0.9},
    {"prior": "learned", "temperature": 0.8},
    {"prior": "uniform"},
)


def epochs(run: cf.Run) -> list[dict[str, Any]]:
    """What the log's last row of each epoch says."""
    last = {row["epoch"]: row for row in run.log if "reconstruction" in row or "prior" in row}
    return [{name: row[name] for name in ("epoch", "step", *LOGGED) if name in row} for row in last.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    run, rows = cf.load(args.run), []
    about = {"model": run.model_name, "data": run.data.name, "codes": run.config.codes, "n": args.n}
    for options in PRIORS:
        score = run.with_sampling(**options).score(n=args.n, metrics=["fid", "prdc"])
        by_label = {name.partition("[")[0]: found.value for name, found in score.items()}
        rows.append({**options, **{name: by_label[name] for name in METRICS}})
        print(rows[-1], flush=True)
        made_by = provenance(torch.device("cpu"))
        write_json(args.out, {**about, "epochs": epochs(run), "samples": rows, "made_by": made_by})


if __name__ == "__main__":
    main()
