"""What a card does: training with and without a recorded step, its scores, Inception features. Of one NVIDIA card.

    python benchmarks/gpu.py [--parts rates …] [--models ae vae …] [--rounds 3] [--steps 200] [--features 50000]

Images/s are of stretches in turns within one process, the median of the rounds. Seconds of training are of the whole
command's run, from its first step to its last. Scores are of seeds 0, 1, 2 with the precision that is named, 10 epochs,
10,000 samples; the CPU's, by the same settings in float32, are those of the seed grid. The weights of Inception are
random: speed does not depend on them. With some of the parts, the results keep the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import counterfeit as cf
from counterfeit import detectors
from counterfeit.comparison.collect import trained
from counterfeit.detectors.inception import InceptionV3
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from counterfeit.system.isolation import isolated
from counterfeit.training.loop import Stepped, run_steps
from counterfeit.training.state import State
from our_loop import timed

HERE = Path(__file__).parent
CUDA = torch.device("cuda")
PRECISIONS = ("float32", "tf32", "bfloat16")
BEST = {"dcgan": "bfloat16"}  # the precision of the whole trainings; of the others tf32
EPOCHS = 10
PARTS = ("rates", "inception", "runs")
SEED = ["ae", "vae", "cvae", "gan", "lsgan", "dcgan"]  # the models of the seed grid, whose runs the CPU's stand beside

Json = dict[str, Any]


class Side:
    """A model that trains a stretch of steps when it is told to, on the card."""

    def __init__(self, model: str, data: cf.ImageSet, **settings: Any) -> None:
        config = timed(model).replace({"epochs": 10_000, **settings})
        net = build(MODELS[model], config, data.shape, len(data.classes))
        state = State.fresh(net, config, CUDA)
        images, labels = (torch.from_numpy(array).to(CUDA) for array in (data.images, data.labels))
        self.batch = config.batch_size
        self.steps: Iterator[Stepped] = (
            event
            for event in run_steps(state, images, labels if net.classes else None, config)
            if isinstance(event, Stepped)
        )
        self.rate(20)  # warm-up, and the recording

    def rate(self, steps: int) -> float:
        """Images/s of a stretch."""
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            next(self.steps)
        torch.cuda.synchronize()
        return steps * self.batch / (time.perf_counter() - start)


def rates(model: str, data: cf.ImageSet, rounds: int, steps: int) -> list[Json]:
    """A row a precision: the plain step beside the recorded one."""
    rows = []
    for precision in PRECISIONS:
        sides = {
            how: Side(model, data, precision=precision, cuda_graph=how == "recorded") for how in ("plain", "recorded")
        }
        found: dict[str, list[float]] = {how: [] for how in sides}
        for i in range(rounds):
            for how in sorted(sides, reverse=bool(i % 2)):
                found[how].append(sides[how].rate(steps))
        ratios = [a / b for a, b in zip(found["recorded"], found["plain"], strict=True)]
        rows.append(
            {
                "model": model,
                "precision": precision,
                **{how: round(statistics.median(values)) for how, values in found.items()},
                "ratio": round(statistics.median(ratios), 2),
            }
        )
        print(rows[-1], flush=True)
    return rows


def whole(model: str, home: Path, seed: int) -> Json:
    """`counterfeit train` as people call it, and the run's FID."""
    precision, out = BEST.get(model, "tf32"), home / f"{model}-s{seed}"
    words = ["train", model, "--data", "mnist", "--device", "cuda", "--precision", precision, "--epochs", str(EPOCHS)]
    start = time.perf_counter()
    done = [sys.executable, "-m", "counterfeit", *words, "--seed", str(seed), "--out", str(out)]
    subprocess.run(done, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    run = cf.load(out)
    (fid,) = run.score(metrics=["fid"], device="cuda").metrics.values()
    row = {
        "model": model,
        "seed": seed,
        "command": " ".join(["counterfeit", *words]),
        "train_seconds": round(trained(run)[0], 2),
        "command_seconds": round(seconds, 1),
        "fid": fid.value,
        "uncertainty": fid.uncertainty,
    }
    print(row, flush=True)
    return row


def inception(count: int) -> Json:
    """Seconds of the features of so many images of 3x32x32."""
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.manual_seed(0)
        torch.save(InceptionV3().state_dict(), path)
        detector = detectors.load("inception", weights=path, any_weights=True, device="cuda")
    detector(images[:1000])
    start = time.perf_counter()
    detector(images)
    row = {"images": count, "seconds": round(time.perf_counter() - start, 2)}
    print(row, flush=True)
    return row


def _told(made_by: Json) -> tuple[Any, ...]:
    """What docs/performance.md says of the machine: parts of two machines are not put together."""
    return made_by["machine"]["device"], made_by["machine"]["cpus"], made_by["versions"]["torch"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", default=[n for n, spec in MODELS.items() if not spec.based_on])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200, help="of a stretch")
    parser.add_argument("--features", type=int, default=50_000)
    parser.add_argument("--out", type=Path, default=HERE / "results/gpu.json")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no NVIDIA card was found")
    found: Json = json.loads(args.out.read_text()) if args.out.exists() else {}
    made_by = provenance(CUDA)
    if set(args.parts) < set(PARTS) and found and _told(found["made_by"]) != _told(made_by):
        raise SystemExit(f"{args.out} is of another machine: leave --parts out, or pass another --out")
    with isolated():
        if "rates" in args.parts:
            data = cf.load_data("mnist")
            found["rates"] = [row for model in args.models for row in rates(model, data, args.rounds, args.steps)]
        if "inception" in args.parts:
            found["inception"] = inception(args.features)
    if "runs" in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            found["runs"] = [whole(model, Path(folder), seed) for model in SEED for seed in range(3)]
    write_json(args.out, {**found, "made_by": made_by})


if __name__ == "__main__":
    main()
