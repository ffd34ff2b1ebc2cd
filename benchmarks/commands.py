"""How long each command takes to start and to end, and the memory that it takes at most; and samples/s of the models.

    python benchmarks/commands.py [--rounds 5] [--before FOLDER]

Each command is a process of its own, the commands in turn and the turns repeated; the data and the real features are in
the cache. `python -c "import torch"` stands beside them, which every command that computes does too. With
--before, each one takes turns with the same command of an earlier checkout of this repository.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results"
MODELS = ("ae", "vae", "cvae", "gan", "lsgan", "dcgan")
SAMPLES = 10_000
# A process is charged with the memory of the one that it was forked from: so that one is small.
LAUNCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
OURS = [sys.executable, "-m", "counterfeit"]


def commands(home: Path) -> dict[str, list[str]]:
    """What a user types, and the process that it is."""
    run = str(home / "vae")
    return {
        'python -c "import torch"': [sys.executable, "-c", "import torch"],
        "counterfeit --help": [*OURS, "--help"],
        "counterfeit train --help": [*OURS, "train", "--help"],
        "counterfeit list": [*OURS, "list"],
        "counterfeit train vae --data mnist5k --epochs 1": [
            *OURS, "train", "vae", "--data", "mnist5k", "--epochs", "1", "--out", "{new}"],
        "counterfeit sample RUN": [*OURS, "sample", run, "--out", "{new}.png"],
        "counterfeit sample RUN -n 10000 --out FILE.npz": [*OURS, "sample", run, "-n", "10000", "--out", "{new}.npz"],
        "counterfeit score RUN -n 2000 --metrics fid,kid": [
            *OURS, "score", run, "-n", "2000", "--metrics", "fid,kid"],
        "counterfeit score RUN": [*OURS, "score", run],
        "counterfeit score RUN -n 10000, of mnist": [*OURS, "score", str(home / "mnist"), "-n", "10000"],
        "counterfeit report RUN": [*OURS, "report", run, "--out", "{new}.html"],
    }  # fmt: skip


def measure(command: list[str], new: Path, source: Path | None) -> tuple[float, float]:
    """Seconds and peak MiB of a command, of the checkout in the folder `source`."""
    words = [word.replace("{new}", str(new)) for word in command]
    env = dict(os.environ) if source is None else {**os.environ, "PYTHONPATH": str(source.resolve() / "src")}
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *words], capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed")
    seconds, kib = done.stdout.split()
    return float(seconds), int(kib) / 1024


def summary(values: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "seconds": round(median(s for s, _ in values), 2),
        "seconds_range": [round(pick(s for s, _ in values), 2) for pick in (min, max)],
        "peak_mib": round(median(m for _, m in values)),
    }


def samples_per_s(run: cf.Run, rounds: int) -> list[float]:
    run.sample(1000, seed=0)  # reads the weights
    rates = []
    for seed in range(rounds):
        start = time.perf_counter()
        run.sample(SAMPLES, seed=seed)
        rates.append(SAMPLES / (time.perf_counter() - start))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path)
    args = parser.parse_args()
    sources = [None] if args.before is None else [None, args.before]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        runs = {m: cf.train(m, "mnist5k", epochs=1, out=home / m, quiet=True) for m in MODELS}
        cf.train("vae", "mnist", epochs=1, out=home / "mnist", quiet=True)
        # [source][command]
        found: list[dict[str, list[tuple[float, float]]]] = [{name: [] for name in commands(home)} for _ in sources]
        for i in range(-1, args.rounds):
            for j, (name, command) in enumerate(commands(home).items()):
                for k, source in enumerate(sources):
                    figures = measure(command, home / f"new-{i}-{j}-{k}", source)
                    if i >= 0:  # the first round fills the caches
                        found[k][name].append(figures)
        rows = [
            {
                "command": name,
                **summary(values),
                **({"before": summary(found[1][name])} if args.before else {}),
            }
            for name, values in found[0].items()
        ]
        rates = {model: round(median(samples_per_s(run, args.rounds))) for model, run in runs.items()}
    for row in rows:
        for when, of in (("", row), ("before", row.get("before"))):
            if of:
                low, high = of["seconds_range"]
                print(f"{when or row['command']:>50} {of['seconds']:>6} s ({low}–{high}) {of['peak_mib']:>6} MiB")
    print("samples/s, 28x28:", ", ".join(f"{model} {rate:,}" for model, rate in rates.items()))
    made_by = provenance(torch.device("cpu"))
    write_json(RESULTS / "commands.json", {"commands": rows, "samples_per_s": rates, "made_by": made_by})


if __name__ == "__main__":
    main()
