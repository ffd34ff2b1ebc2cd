"""How much a classifier learns from what each conditional model draws: CAS of 10,000 samples, into results/cas.json.

    python benchmarks/cas.py [RUNS …]

Runs are folders of a grid; those of models without labels are passed over. One row a model and data set, the last
measured one; others stay as they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "cas.json"
N = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, default=sorted(Path("runs/frontier").glob("*-s0")))
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    rows = {(row["model"], row["data"]): row for row in known}
    for path in parser.parse_args().runs:
        run = cf.load(path)
        if not MODELS[run.record.model].conditional:
            continue
        ((name, found),) = cf.cas(run, n=N).items()
        row = {"model": run.record.model, "data": run.data.name, "seed": run.record.config.seed, "n": N, "name": name}
        row |= {"value": found.value, "uncertainty": found.uncertainty, "real": found.floor}
        rows[row["model"], row["data"]] = row
        write_json(RESULTS, {"rows": list(rows.values()), "made_by": provenance(torch.device("cpu"))})
        print(row, flush=True)


if __name__ == "__main__":
    main()
