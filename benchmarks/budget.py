"""Does `--budget` keep its word: seconds that were planned and those that were used, and those of the whole command.

    python benchmarks/budget.py [--budget 5m] [--models vae sngan conv-vae] [--data mnist]

On a machine with nothing else to do. The whole command also imports PyTorch and reads its options, for which no plan
is made.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "budget.json"
LAST = re.compile(r"planned (\d+) seconds, used (\d+)")


def measured(model: str, data: str, budget: str) -> dict[str, object]:
    """One training, whose run is thrown away."""
    with tempfile.TemporaryDirectory() as home:
        run = Path(home) / "run"
        words = ["train", model, "--data", data, "--budget", budget, "--out", str(run)]
        begun = time.perf_counter()
        ended = subprocess.run([sys.executable, "-m", "counterfeit", *words], stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - begun
        found = LAST.search(ended.stderr)
        if ended.returncode or not found:
            sys.exit(ended.stderr)
        steps = json.loads((run / "run.json").read_text())["settings"]["run"]["steps"]
    row = {"model": model, "data": data, "budget": budget, "steps": steps}
    return {**row, "planned_s": int(found[1]), "used_s": int(found[2]), "command_s": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--models", nargs="+", default=["vae", "sngan", "conv-vae"])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    before = json.loads(args.out.read_text())["rows"] if args.out.exists() else []
    rows = {(row["model"], row["data"], row["budget"]): row for row in before}  # others stay as they were measured
    for model in args.models:
        row = rows[model, args.data, args.budget] = measured(model, args.data, args.budget)
        print(json.dumps(row), flush=True)
        write_json(args.out, {"rows": list(rows.values()), "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
