"""Search for settings that serve a model better than its recipe's, by random draws from a space that is written here.

    python benchmarks/search.py gan [--tries 8] [--epochs 10] [--workers 2] [--out runs/search]

Every try trains on each data set with a seed that no comparison uses, and is measured by the FID of 2,000 samples after
the last epoch. Try 0 is the recipe itself; the best try is the one with the lowest geometric mean, over the data sets,
of its FID divided by the recipe's. The tries go into benchmarks/results/search/MODEL.json; runs that are there already
are taken as they are. The winner is judged on other seeds, by `benchmarks/grids/tuned.toml`, and not by this.
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

import numpy as np
import torch

from counterfeit.files import write_json
from counterfeit.recipes import RECIPES
from counterfeit.runs import RunFolder, provenance

RESULTS = Path(__file__).parent / "results/search"
DATA = ("mnist", "cifar10")
SEED = 100  # of training: comparisons use 0, 1, 2

_GAN = {
    "lr": [1e-4, 2e-4, 4e-4],
    "betas": [[0.5, 0.999], [0.0, 0.99]],
    "batch_size": [32, 64, 128],
    "ema": [0.999, 0.9995],
    "label_smoothing": [0.0, 0.1],
}
SPACE: dict[str, dict[str, list[Any]]] = {
    "gan": _GAN,
    "lsgan": _GAN,
    "dcgan": {**_GAN, "batch_size": [64, 128]},
    "vae": {
        "lr": [5e-4, 1e-3, 2e-3],
        "batch_size": [32, 64, 128],
        "ema": [0.0, 0.999],
        "kl_weight": [0.1, 0.25, 0.5, 1.0],
    },
}


def draws(model: str, tries: int) -> list[dict[str, Any]]:
    """Settings of the tries: none for the recipe itself, then different draws from the space; the same every time."""
    rng = np.random.default_rng(0)
    drawn: list[dict[str, Any]] = [{}]
    while len(drawn) < tries:
        settings = {name: values[rng.integers(len(values))] for name, values in SPACE[model].items()}
        if settings not in drawn:
            drawn.append(settings)
    return drawn


def words(settings: dict[str, Any]) -> list[str]:
    """As the command line takes them."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in settings.items()}
    return [w for name, values in lists.items() for w in ["--" + name.replace("_", "-"), *map(str, values)]]


def fid(model: str, data: str, settings: dict[str, Any], epochs: int, home: Path) -> float | None:
    """Train, or take the run that is there; None where it failed."""
    name = "-".join([model, data, *(f"{value}" for value in settings.values())]).replace(" ", "")
    folder = RunFolder(home / name)
    if not (folder.holds_run() and folder.finished()):
        options = ["--data", data, "--seed", str(SEED), "--epochs", str(epochs), "--score-every", str(epochs)]
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


def ratio(row: dict[str, float | None], exact: dict[str, float | None]) -> float | None:
    """Geometric mean over the data sets of a FID over the recipe's."""
    parts = [math.log(a / b) if a and b else None for a, b in zip(row.values(), exact.values(), strict=True)]
    return None if None in parts else math.exp(sum(p for p in parts if p is not None) / len(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=list(SPACE))
    parser.add_argument("--tries", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    args = parser.parse_args()
    assert args.model in RECIPES
    tries = draws(args.model, args.tries)
    with ThreadPoolExecutor(args.workers) as pool:
        futures = [
            {data: pool.submit(fid, args.model, data, settings, args.epochs, args.out) for data in DATA}
            for settings in tries
        ]
        rows: list[dict[str, Any]] = []
        for settings, by_data in zip(tries, futures, strict=True):
            scores = {data: future.result() for data, future in by_data.items()}
            rows.append({"settings": settings, "fid": scores})
            rows[-1]["ratio"] = ratio(scores, rows[0]["fid"])
            print(json.dumps(rows[-1]), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = {"model": args.model, "seed": SEED, "epochs": args.epochs, "space": SPACE[args.model], "tries": rows}
    write_json(RESULTS / f"{args.model}.json", {**found, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
