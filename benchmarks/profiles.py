"""Where a training step's time goes, before and after: PyTorch's own layers and allocator in our loop, and ours.

    python benchmarks/profiles.py [--models vae gan dcgan] [--steps 20]

Each side is a process of its own with one thread, so that an operator's time is its own; PyTorch's profiler gives every
operator's time without those that it calls, the system the page faults. Operators are added up by what they are for.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.runs import provenance
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.files import write_json
from course_loop import plain
from our_loop import steps_of

RESULT = Path(__file__).parent / "results/profiles.json"
SIDES = ("before", "after")
WARM_UP = 5
KINDS = {  # the first whose word is in an operator's name
    "convolutions": ("convolution", "_Conv2d", "_ConvTranspose2d", "col2im", "pixel_shuffle", "im2col"),
    "matrix products": ("addmm", "mm", "linear"),
    "Adam": ("adam",),
    "pooling and batch norm": ("pool", "batch_norm"),
}
OTHER = "the rest"


def kind(operator: str) -> str:
    return next((name for name, words in KINDS.items() if any(word in operator for word in words)), OTHER)


def measure(side: str, name: str, steps: int) -> dict[str, object]:
    """Milliseconds a step, by kind of operator and in all, and page faults a step."""
    images = cf.load_data("mnist")
    model = build(MODELS[name], MODELS[name].settings, images.shape, len(images.classes))
    if side == "before":
        model = plain(model)
    else:
        torch.set_flush_denormal(True)
        keep_freed_memory()
    walk = steps_of(model, name, images)
    for _ in range(WARM_UP):
        next(walk)
    faults, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
    for _ in range(steps):
        next(walk)
    whole = (time.perf_counter() - start) / steps * 1e3
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            next(walk)
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        spent[kind(event.key)] += event.self_cpu_time_total
    parts = {name: round(us / steps / 1e3, 2) for name, us in spent.items()}
    return {"ms_a_step": round(whole, 2), "ms_by_kind": parts, "page_faults_a_step": round(faults / steps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vae", "gan", "dcgan"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", choices=SIDES, help="measure this side alone, and print it")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args.side, args.models[0], args.steps)))
        return
    rows = []
    for name in args.models:
        row: dict[str, object] = {"model": name}
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--models", name, "--steps", str(args.steps)]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, env=env)
            row[side] = json.loads(out.stdout)
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_json(RESULT, {"rows": rows, "kinds": [*KINDS, OTHER], "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
