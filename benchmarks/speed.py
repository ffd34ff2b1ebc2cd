"""Training images/s of our loop against the loop that courses teach, interleaved in one run.

    python benchmarks/speed.py [--models vae gan dcgan] [--data mnist] [--pairs 7] [--seconds 4]

Both sides train the same networks from the same weights with the same batch size, rates and number of steps. A pair is
one stretch of each, the order alternating; the figure is the median of the pairs' ratios, with their range. Absolute
rates of a noisy machine mean little; the ratios of one run do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

import counterfeit as cf
from counterfeit.files import write_json
from counterfeit.loop import State, Stepped, run_steps
from counterfeit.models import build
from counterfeit.recipes import RECIPES
from counterfeit.runs import provenance
from course_loop import course_steps, plain

RESULTS = Path(__file__).parent / "results"


def our_steps(name: str, data: cf.ImageSet) -> Iterator[None]:
    """Our loop, one step an item."""
    recipe = RECIPES[name]
    config = recipe.config.replace({"epochs": 10_000})
    model = build(recipe, config, data.shape, len(data.classes))
    state = State.fresh(model, config, torch.device("cpu"))
    labels = torch.from_numpy(data.labels) if model.classes else None
    for event in run_steps(state, torch.from_numpy(data.images), labels, config):
        if isinstance(event, Stepped):
            yield


def their_steps(name: str, data: cf.ImageSet) -> Iterator[object]:
    model = build(RECIPES[name], RECIPES[name].config, data.shape, len(data.classes)).train()
    return course_steps(name, plain(model), data.images, data.labels)


def timed(steps: Iterator[object], n: int) -> float:
    """Seconds that n steps take."""
    start = time.perf_counter()
    for _ in range(n):
        next(steps)
    return time.perf_counter() - start


def with_denormals(flush: bool, function: Callable[[], float]) -> float:
    """Flushing denormals is part of our side only; the setting is the thread's."""
    torch.set_flush_denormal(flush)
    return function()


def compare(name: str, data: cf.ImageSet, pairs: int, seconds: float) -> dict[str, object]:
    """Rates of both sides and the ratios of the pairs."""
    sides = {"ours": our_steps(name, data), "course": their_steps(name, data)}
    for steps in sides.values():
        timed(steps, 10)  # warm-up
    n = max(10, round(seconds * 10 / timed(sides["course"], 10)))
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for pair in range(pairs):
        for side in sorted(sides, reverse=bool(pair % 2)):
            took = with_denormals(side == "ours", lambda s=sides[side]: timed(s, n))
            rates[side].append(n * RECIPES[name].config.batch_size / took)
    ratios = sorted(a / b for a, b in zip(rates["ours"], rates["course"], strict=True))
    return {
        "model": name,
        "data": data.name,
        "steps_a_stretch": n,
        "ours_images_per_s": round(median(rates["ours"])),
        "course_images_per_s": round(median(rates["course"])),
        "ratio": round(median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(RECIPES))
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one stretch of the course's loop")
    args = parser.parse_args()
    data = cf.load_data(args.data)
    rows = []
    for name in args.models:
        rows.append(compare(name, data, args.pairs, args.seconds))
        row = rows[-1]
        print(
            f"{name:6} {row['ours_images_per_s']:>8,} images/s, course loop {row['course_images_per_s']:>7,}: "
            f"{row['ratio']:.2f}x ({row['ratio_range'][0]:.2f}–{row['ratio_range'][1]:.2f})",
            flush=True,
        )
    write_json(RESULTS / f"speed-{args.data}.json", {"rows": rows, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
