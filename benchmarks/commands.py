"""How long each command takes to start and to end, and the memory that it takes at most; and samples/s of the models.

    python benchmarks/commands.py [--rounds 5]

Each command is a process of its own, the commands in turn and the turns repeated; the data and the real features are in
the cache. `python -c "import torch"` stands beside them: what no command that computes can be quicker than.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

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
        "counterfeit report RUN": [*OURS, "report", run, "--out", "{new}.html"],
    }  # fmt: skip


def measure(command: list[str], new: Path) -> tuple[float, float]:
    """Seconds and peak MiB of a command."""
    words = [word.replace("{new}", str(new)) for word in command]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed")
    seconds, kib = done.stdout.split()
    return float(seconds), int(kib) / 1024


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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        runs = {m: cf.train(m, "mnist5k", epochs=1, out=home / m, quiet=True) for m in MODELS}
        cf.train("vae", "mnist", epochs=1, out=home / "warm", quiet=True).score()  # fills the cache
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands(home)}
        for i in range(args.rounds):
            for j, (name, command) in enumerate(commands(home).items()):
                found[name].append(measure(command, home / f"new-{i}-{j}"))
        rows = [
            {
                "command": name,
                "seconds": round(median(s for s, _ in values), 2),
                "seconds_range": [round(pick(s for s, _ in values), 2) for pick in (min, max)],
                "peak_mib": round(median(m for _, m in values)),
            }
            for name, values in found.items()
        ]
        rates = {model: round(median(samples_per_s(run, args.rounds))) for model, run in runs.items()}
    for row in rows:
        low, high = row["seconds_range"]
        print(f"{row['command']:50} {row['seconds']:>6} s ({low}–{high}) {row['peak_mib']:>6} MiB")
    print("samples/s, 28x28:", ", ".join(f"{model} {rate:,}" for model, rate in rates.items()))
    made_by = provenance(torch.device("cpu"))
    write_json(RESULTS / "commands.json", {"commands": rows, "samples_per_s": rates, "made_by": made_by})


if __name__ == "__main__":
    main()
