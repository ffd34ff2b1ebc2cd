"""All pairs of model and data set, trained for an epoch on the full real data and sampled: images/s and peak memory.

    python benchmarks/pairs.py [--models ae vae …] [--data mnist cifar10]

Each pair is the command line in a process of its own; the memory is that process's peak resident set, data included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

from counterfeit.models import MODELS
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results"


def run(*words: str) -> float:
    """Run the command line; returns its peak memory in MiB."""
    process = subprocess.Popen([sys.executable, "-m", "counterfeit", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"counterfeit {' '.join(words)} failed")
    return usage.ru_maxrss / 1024


def measure(model: str, data: str, home: Path) -> dict[str, object]:
    """One pair: train, sample, read the log."""
    out = home / f"{model}-{data}"
    memory = run("train", model, "--data", data, "--epochs", "1", "--out", str(out))
    run("sample", str(out), "--out", str(RESULTS / "pairs" / f"{model}-{data}.png"))
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "images_per_s" in row]
    losses = {k: round(v, 4) for k, v in logged[-1].items() if k not in ("epoch", "step", "images_per_s")}
    return {
        "model": model,
        "data": data,
        "images_per_s": round(median(row["images_per_s"] for row in logged)),
        "peak_memory_mib": round(memory),
        "last_losses": losses,
    }


def grids() -> list[str]:
    """The models whose scores are published, and the recipes of them that a search found."""
    return [name for name, spec in MODELS.items() if MODELS[spec.based_on or name].published]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=grids())
    parser.add_argument("--data", nargs="+", default=["mnist", "cifar10"])
    args = parser.parse_args()
    rows = []
    print("| model | data | images/s | peak memory, MiB | last logged losses |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        for data in args.data:
            for model in args.models:
                row = measure(model, data, Path(home))
                rows.append(row)
                losses = ", ".join(f"{name} {value:.4g}" for name, value in row["last_losses"].items())
                print(
                    f"| {model} | {data} | {row['images_per_s']:,} | {row['peak_memory_mib']:,} | {losses} |",
                    flush=True,
                )
    write_json(RESULTS / "pairs.json", {"rows": rows, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
