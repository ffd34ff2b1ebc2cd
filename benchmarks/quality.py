"""Epochs to quality: training seconds until the FID that the course loop ends with, and the losses at the end.

    python benchmarks/quality.py [--models ae vae cvae gan lsgan] [--data mnist] [--seeds 0 1 2] [--epochs 10]

The course loop (course_loop.py) trains for its whole budget, ours as long, each in a process of its own and one after
the other, the same network with the same rates and batches; both are scored after every epoch by the FID of 2,000
samples, the clock being stopped. A side has reached the quality after the first epoch whose FID is not above the course
loop's last one, mean over seeds plus one standard deviation. An `ae` of the course has no distribution to sample from:
it is held to its losses alone. Results of other models from other runs are kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

import counterfeit as cf
from counterfeit import sampling
from counterfeit.models import MODELS
from counterfeit.models.base import Model
from counterfeit.models.build import build
from counterfeit.runs import provenance
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.files import write_json
from counterfeit.training.loop import EpochEnded, Logged, run_steps
from counterfeit.training.state import State
from course_loop import course_steps, plain

HERE = Path(__file__).parent
SIDES = ("course", "ours")
SAMPLES = 2000
Json = dict[str, Any]


def ours(name: str, images: cf.ImageSet, seed: int, epochs: int) -> Iterator[tuple[Model, dict[str, float]]]:
    """The model and the mean losses after every epoch."""
    torch.set_flush_denormal(True)
    keep_freed_memory()  # as the command does
    spec = MODELS[name]
    steps = len(images) // spec.settings.batch_size
    config = spec.settings.replace({"seed": seed, "epochs": epochs, "log_every": steps})
    model = build(spec, config, images.shape, len(images.classes))
    state = State.fresh(model, config, torch.device("cpu"))
    labels = torch.from_numpy(images.labels) if model.classes else None
    for event in run_steps(state, torch.from_numpy(images.images), labels, config):
        if isinstance(event, Logged):
            losses = event.losses
        elif isinstance(event, EpochEnded):
            yield model, losses


def course(name: str, images: cf.ImageSet, seed: int, epochs: int) -> Iterator[tuple[Model, dict[str, float]]]:
    """The same of the loop that courses teach."""
    torch.manual_seed(seed)
    config = MODELS[name].settings.replace({"seed": seed})
    model = plain(build(MODELS[name], config, images.shape, len(images.classes))).train()
    steps = course_steps(name, model, images.images, images.labels)
    for _ in range(epochs):
        rows = [next(steps) for _ in range(len(images) // config.batch_size)]
        yield model, {term: mean(row[term] for row in rows) for term in rows[0]}


def fid(model: Model, name: str, real: str) -> float:
    model.eval()
    options, labels = MODELS[name].sampling, sampling.labels_for(model, SAMPLES, None)
    samples = np.concatenate(list(sampling.samples(model, SAMPLES, 0, labels, SAMPLES, options)))
    model.train()
    (found,) = cf.score(samples, real=real, metrics=["fid"]).metrics.values()
    return found.value


def epochs_of(side: str, name: str, data: str, seed: int, epochs: int) -> list[Json]:
    """Seconds of training so far, FID and mean losses, by the epoch."""
    images = cf.load_data(data)
    rows: list[Json] = []
    spent, start = 0.0, time.perf_counter()
    for model, losses in {"ours": ours, "course": course}[side](name, images, seed, epochs):
        spent += time.perf_counter() - start
        sampled = not (side == "course" and name == "ae")
        rows.append({"seconds": round(spent, 2), "losses": losses, "fid": fid(model, name, data) if sampled else None})
        start = time.perf_counter()
    return rows


def reached(rows: list[Json], target: float) -> float | None:
    """Seconds until the first epoch that is good enough, None where there is none."""
    return next((row["seconds"] for row in rows if row["fid"] <= target), None)


def summary(name: str, seeds: list[int], runs: dict[str, list[list[Json]]]) -> Json:
    """Both sides over their seeds: last losses, last FIDs, seconds to the course loop's quality."""
    row: Json = {"model": name, "seeds": seeds, "epochs": len(runs["ours"][0])}
    for side in SIDES:
        last = [rows[-1] for rows in runs[side]]
        row[side] = {
            "seconds": [r["seconds"] for r in last],
            "fid": [r["fid"] for r in last],
            "losses": {term: [r["losses"][term] for r in last] for term in last[0]["losses"]},
            "curve": [[r["fid"] for r in rows] for rows in runs[side]],
        }
    ends = row["course"]["fid"]
    if None not in ends:
        row["target"] = mean(ends) + (stdev(ends) if len(ends) > 1 else 0)
        for side in SIDES:
            row[side]["seconds_to_target"] = [reached(rows, row["target"]) for rows in runs[side]]
    return row


def run(side: str, name: str, data: str, seed: int, epochs: int) -> list[Json]:
    """What `epochs_of` gives, in a process of its own."""
    words = {"side": side, "models": name, "data": data, "seeds": seed, "epochs": epochs}
    command = [sys.executable, __file__, *(part for key, value in words.items() for part in (f"--{key}", str(value)))]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    found: list[Json] = json.loads(out)
    return found


def keep(row: Json, result: Path) -> None:
    """Write a model's row into the file, in place of an earlier one."""
    rows = {row["model"]: row for row in (json.loads(result.read_text())["rows"] if result.exists() else [])}
    rows[row["model"]] = {**row, "made_by": provenance(torch.device("cpu"))}
    write_json(result, {"rows": [rows[name] for name in MODELS if name in rows]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ae", "vae", "cvae", "gan", "lsgan"])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--side", choices=SIDES, help="train this side alone, and print what its epochs came to")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(epochs_of(args.side, args.models[0], args.data, args.seeds[0], args.epochs)))
        return
    for name in args.models:
        runs: dict[str, list[list[Json]]] = {side: [] for side in SIDES}
        for seed in args.seeds:
            for side in SIDES:
                runs[side].append(run(side, name, args.data, seed, args.epochs))
        row = summary(name, args.seeds, runs)
        print(name, {side: {k: v for k, v in row[side].items() if k != "curve"} for side in SIDES}, flush=True)
        keep(row, HERE / f"results/quality-{args.data}.json")


if __name__ == "__main__":
    main()
