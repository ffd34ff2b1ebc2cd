"""Search for settings that serve a model better than its recipe's: the tries that were made, to be made again.

    python benchmarks/search.py gan [--data mnist cifar10] [--workers 2] [--out runs/search]

Every try of tries.toml trains with a seed that no comparison uses, and is measured by the FID of 2,000 samples after
the last epoch. The first is the recipe itself. The figure that orders them is the geometric mean, over the data
sets, of their FID divided by the recipe's. Results go into benchmarks/results/search/MODEL.json; runs that are there
already are taken as they are. The winner is judged on other seeds, by `benchmarks/grids/tuned.toml`, and not by this.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import torch

from counterfeit.runs import RunFolder, provenance
from counterfeit.system.files import write_json

TRIES = Path(__file__).parent / "tries.toml"
RESULTS = Path(__file__).parent / "results/search"
SEED, EPOCHS = 100, 10  # comparisons use the seeds 0, 1, 2

Json = dict[str, Any]


def words(settings: Json) -> list[str]:
    """As the command line takes them."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in settings.items()}
    return [w for name, values in lists.items() for w in ["--" + name.replace("_", "-"), *map(str, values)]]


def fid(model: str, data: str, settings: Json, folder: RunFolder) -> float | None:
    """Train, or take the run that is there; None where it failed."""
    if not (folder.holds_run() and folder.finished()):
        options = ["--data", data, "--seed", str(SEED), "--epochs", str(EPOCHS), "--score-every", str(EPOCHS)]
        resume = ["--resume"] if folder.holds_run() else []
        command = [sys.executable, "-m", "counterfeit", "train", model, *options, *words(settings)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}  # one core a run: two threads a run would fight for two cores
        out = subprocess.run(
            [*command, "--out", str(folder), *resume], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if out.returncode:
            print(f"{folder} failed: {out.stderr.decode().strip().splitlines()[-1]}", flush=True)
            return None
    return next(v for row in reversed(folder.read_log()) for key, v in row.items() if key.startswith("FID["))


def ratio(scores: dict[str, float | None], exact: dict[str, float | None]) -> float | None:
    """Geometric mean of FIDs over the recipe's; None unless it was measured on every data set."""
    parts = [math.log(scores[data] / exact[data]) for data in exact if scores.get(data)]  # type: ignore[operator]
    return math.exp(sum(parts) / len(parts)) if len(parts) == len(exact) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tries: dict[str, list[Json]] = msgspec.toml.decode(TRIES.read_bytes())
    parser.add_argument("model", choices=list(tries))
    parser.add_argument("--data", nargs="+", default=["mnist", "cifar10"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    args = parser.parse_args()
    with ThreadPoolExecutor(args.workers) as pool:
        futures = [
            (settings, {
                data: pool.submit(fid, args.model, data, settings, RunFolder(args.out / f"{args.model}-{data}-{i}"))
                for data in args.data
            })
            for i, settings in enumerate(tries[args.model])
        ]  # fmt: skip
        rows: list[Json] = []
        for settings, by_data in futures:
            scores = {data: future.result() for data, future in by_data.items()}
            rows.append({"settings": settings, "fid": scores})
            rows[-1]["ratio"] = ratio(scores, rows[0]["fid"])
            print(json.dumps(rows[-1]), flush=True)
    found = {"model": args.model, "seed": SEED, "epochs": EPOCHS, "tries": rows}
    write_json(RESULTS / f"{args.model}.json", {**found, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
