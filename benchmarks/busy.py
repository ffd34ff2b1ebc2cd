"""Training and scoring on a machine that others use too: competing processes, two trainings at once, one core of many.

    python benchmarks/busy.py [--models vae gan dcgan] [--rounds 3] [--seconds 1] [--peers .venv-peers] [--parts …]

Ours runs twice: with threads that make room (see system/openmp.py), and with threads that always spin, as PyTorch comes
and as ours did before. The loop that courses teach and Pythae run as PyTorch comes. A competitor is a process that
computes on one core for ever. All sides of a row take turns within one run; the figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system import openmp
from counterfeit.system.files import write_json
from speed import Side, stretch_length
from spread import ratios, spread

HERE = Path(__file__).parent
COMPETITORS = (0, 1, 2)
PAIRS = 10  # a round, where both sides are idle and nearly equal
COMPETE = "import os; us = os.getppid()\nwhile os.getppid() == us: pass"  # until this process ends, however it does
GRID = """
models = ["vae", "gan"]
data = ["mnist5k"]
seeds = [0, 1]
out = "runs"
[train]
epochs = 5
[score]
n = 1000
metrics = ["fid"]
"""


PLAIN = {name: value for name, value in os.environ.items() if name not in openmp.CHOSEN}
# libgomp's own default; ours leaves alone what a user has set.
SPINNING = {**PLAIN, "GOMP_SPINCOUNT": "300000"}


@contextmanager
def competing(processes: int) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", COMPETE]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def training(model: str, rounds: int, seconds: float, peers: Path | None, array: Path) -> dict[str, Any]:
    """Images/s of each side beside 0, 1 and 2 competitors."""
    steps = stretch_length(model, "mnist", seconds)
    sides = {
        "ours": Side(sys.executable, "ours", model, "mnist", steps, env=PLAIN),
        "ours_spinning": Side(sys.executable, "ours", model, "mnist", steps, env=SPINNING),
        "course": Side(sys.executable, "course", model, "mnist", steps, env=PLAIN),
    }
    if peers and model == "vae":
        sides["pythae"] = Side(str(peers / "bin/python"), "pythae", model, str(array), steps, env=PLAIN)
    found = in_turn({name: side.rate for name, side in sides.items()}, rounds)
    for side in sides.values():
        side.close()
    batch = cf.models.MODELS[model].settings.batch_size
    rates = {name: [round(median(values) * batch) for values in by.values()] for name, by in found.items()}
    return {"model": model, "images_per_s": rates, "over_idle": over_idle(found, -1)}


def idle(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """The speed with threads that make room over that with threads that spin, on an idle machine: what room costs."""
    steps = stretch_length(model, "mnist", seconds)
    environments = {"ours": PLAIN, "ours_spinning": SPINNING}
    sides = {name: Side(sys.executable, "ours", model, "mnist", steps, env=env) for name, env in environments.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(PAIRS * rounds):
        for name in sorted(sides, reverse=bool(i % 2)):
            rates[name].append(sides[name].rate())
    for side in sides.values():
        side.close()
    return {"model": model, "pairs": PAIRS * rounds, "over_spinning": ratios(rates["ours"], rates["ours_spinning"])}


def scoring(rounds: int, home: Path) -> dict[str, Any]:
    """Seconds of a whole `score` of 2,000 images against 5,000 real ones that are kept."""
    np.savez(home / "fakes.npz", images=cf.load_data("mnist5k").images[:2000])
    words = [sys.executable, "-m", "counterfeit", "score", "fakes.npz", "--real", "mnist5k", "-n", "2000"]

    def run(environment: dict[str, str]) -> float:
        begun = time.perf_counter()
        subprocess.run(words, cwd=home, env=environment, check=True, capture_output=True)
        return time.perf_counter() - begun

    run(PLAIN)
    found = in_turn({"ours": partial(run, PLAIN), "ours_spinning": partial(run, SPINNING)}, rounds)
    seconds = {name: [round(median(values), 1) for values in by.values()] for name, by in found.items()}
    return {"model": "score", "seconds": seconds, "over_idle": over_idle(found, 1)}


def in_turn(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, dict[int, list[float]]]:
    """What each side measures beside each number of competitors."""
    found: dict[str, dict[int, list[float]]] = {name: {others: [] for others in COMPETITORS} for name in sides}
    for i in range(rounds):
        for others in COMPETITORS:
            with competing(others):
                for name in sorted(sides, reverse=bool(i % 2)):
                    found[name][others].append(sides[name]())
    return found


def over_idle(found: dict[str, dict[int, list[float]]], power: int) -> dict[str, list[dict[str, float]]]:
    """How many times as long each side takes beside competitors as alone, by rounds: `power` is -1 for rates."""
    return {
        name: [
            spread([(busy / idle) ** power for busy, idle in zip(by[others], by[0], strict=True)])
            for others in COMPETITORS[1:]
        ]
        for name, by in found.items()
    }


def two_at_once(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """The speed of each of two trainings at once, in parts of its speed alone."""
    steps = stretch_length(model, "mnist", seconds)
    parts: dict[str, list[float]] = {}
    for name, environment in (("ours", PLAIN), ("ours_spinning", SPINNING)):
        pair = [Side(sys.executable, "ours", model, "mnist", steps, env=environment) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            for _ in range(rounds):
                alone = [side.rate() for side in pair]
                # Each in three stretches, of which the middle one is not beside one that has ended.
                both = list(pool.map(lambda side: [side.rate() for _ in range(3)][1], pair))
                parts.setdefault(name, []).extend(b / a for a, b in zip(alone, both, strict=True))
        for side in pair:
            side.close()
    return {"model": model, "of_its_speed_alone": {name: spread(values) for name, values in parts.items()}}


def workers(rounds: int, home: Path) -> dict[str, Any]:
    """Seconds of a grid of four runs with --workers 1 and 2."""
    (home / "grid.toml").write_text(GRID)
    found: dict[str, list[float]] = {"1": [], "2": []}
    for i in range(rounds):
        for number in sorted(found, reverse=bool(i % 2)):
            shutil.rmtree(home / "runs", ignore_errors=True)
            begun = time.perf_counter()
            words = [sys.executable, "-m", "counterfeit", "compare", "grid.toml", "--workers", number]
            subprocess.run(words, cwd=home, env=PLAIN, check=True, capture_output=True)
            found[number].append(time.perf_counter() - begun)
    ratio = spread([two / one for one, two in zip(found["1"], found["2"], strict=True)])
    return {"seconds": {number: round(median(values), 1) for number, values in found.items()}, "two_over_one": ratio}


def one_core(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Images/s where affinity allows one core of the machine: as our commands are, and with --threads 1."""
    steps = stretch_length(model, "mnist", seconds)
    core = {min(openmp.cores())}
    limit = partial(os.sched_setaffinity, 0, core)
    environments = {"ours": PLAIN, "by_hand": {**PLAIN, openmp.THREADS: "1"}}
    sides = {
        name: Side(sys.executable, "ours", model, "mnist", steps, env=environment, preexec_fn=limit)
        for name, environment in environments.items()
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(rounds):
        for name in sorted(sides, reverse=bool(i % 2)):
            found[name].append(sides[name].rate())
    for side in sides.values():
        side.close()
    count = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    threads = subprocess.run(count, env=PLAIN, preexec_fn=limit, check=True, capture_output=True, text=True).stdout
    ratio = spread([ours / best for ours, best in zip(found["ours"], found["by_hand"], strict=True)])
    return {"model": model, "threads": int(threads), "over_threads_1": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vae", "gan", "dcgan"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="of one stretch of the course's loop on an idle machine"
    )
    parser.add_argument("--peers", type=Path, help="environment that has Pythae (make peers)")
    parser.add_argument("--parts", nargs="+", default=[], help="measure these alone, and keep the other figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        np.save(home / "images.npy", cf.load_data("mnist").images)
        each = {"rounds": args.rounds, "seconds": args.seconds}

        def rows() -> Iterator[dict[str, Any]]:
            for model in args.models:
                yield training(model, peers=args.peers, array=home / "images.npy", **each)
            yield scoring(args.rounds, home)

        parts: dict[str, Callable[[], Any]] = {
            "rows": lambda: list(rows()),
            "idle": lambda: [idle(model, **each) for model in args.models],
            "two_at_once": lambda: [two_at_once(model, **each) for model in args.models],
            "workers": lambda: workers(args.rounds, home),
            "one_core": lambda: [one_core(model, **each) for model in args.models],
        }
        path = HERE / "results/busy.json"
        found = json.loads(path.read_text()) if args.parts else {}
        for part in args.parts or parts:
            found[part] = parts[part]()
            found.setdefault("made_by", {})[part] = provenance(torch.device("cpu"))
            print(part, found[part], flush=True)
    write_json(path, {**found, "competitors": COMPETITORS, "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
