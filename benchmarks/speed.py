"""Training images/s of our loop, side by side with the loop that courses teach and, for the VAE, with Pythae.

    python benchmarks/speed.py [--models vae gan dcgan] [--data mnist] [--pairs 7] [--seconds 4] [--peers .venv-peers]

All sides train the same networks with the same batch size and rates, ours a second time in bfloat16, each in a
process of its own; a round is one stretch of each, the order alternating, and the others wait. The figure is the
median of the rounds' ratios, with their range. Absolute rates of a noisy machine mean little; the ratios of one run
do. Between the rounds the matrix products of a step are timed by themselves (see limits.py): the fraction is what they
would take of a step's time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import counterfeit as cf
import limits
from counterfeit.models import MODELS
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from spread import ratios, spread

HERE = Path(__file__).parent
PROBE = 10  # steps from which the length of a stretch is judged


class Side:
    """A process that trains a stretch when it is told to."""

    def __init__(self, python: str, side: str, model: str, data: str, steps: int, **how: Any) -> None:
        """`how`: what else `Popen` takes."""
        words = [python, str(HERE / "sides.py"), side, model, data, str(steps)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **how
        )
        self.steps = steps
        self._expect("ready")

    def rate(self) -> float:
        """Steps/s of one stretch."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.steps / float(self._expect())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _expect(self, word: str = "") -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # libraries greet on stdout
            text = line.strip()
            if text == word or (not word and text.replace(".", "").replace("e-", "").isdigit()):
                return text
        sys.exit(f"{' '.join(self.process.args)} ended")  # type: ignore[arg-type]


def stretch_length(model: str, data: str, seconds: float) -> int:
    """Steps of the course's loop in so many seconds."""
    probe = Side(sys.executable, "course", model, data, PROBE)
    try:
        return max(PROBE, round(seconds * probe.rate()))
    finally:
        probe.close()


def compare(model: str, data: str, pairs: int, seconds: float, peers: Path | None) -> dict[str, object]:
    """Rates of all sides, ratios of ours to each, and the fraction of the limit."""
    steps, batch = stretch_length(model, data, seconds), MODELS[model].settings.batch_size
    products = limits.products(model, data)
    with tempfile.TemporaryDirectory() as home:
        array = Path(home) / "images.npy"
        np.save(array, cf.load_data(data).images)
        sides = {side: Side(sys.executable, side, model, data, steps) for side in ("ours", "bfloat16", "course")}
        if peers and model == "vae":
            sides["pythae"] = Side(str(peers / "bin/python"), "pythae", model, str(array), steps)
        rates: dict[str, list[float]] = {side: [] for side in sides}
        fractions = []
        for pair in range(pairs):
            for side in sorted(sides, reverse=bool(pair % 2)):
                rates[side].append(sides[side].rate())
            fractions.append(limits.seconds(products) * rates["ours"][-1])
        for side in sides.values():
            side.close()
    row: dict[str, object] = {"model": model, "data": data, "steps_a_stretch": steps, "pairs": pairs}
    row |= {f"{side}_images_per_s": round(median(values) * batch) for side, values in rates.items()}
    for side in (side for side in ("course", "pythae") if side in sides):
        row[f"over_{side}"] = ratios(rates["ours"], rates[side])
    row["bfloat16_over_ours"] = ratios(rates["bfloat16"], rates["ours"])
    row["fraction_of_limit"] = spread(fractions)
    row["gflop_a_step"] = round(limits.flops(products) / 1e9, 2)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ae", "vae", "cvae", "gan", "lsgan", "dcgan"])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one stretch of the course's loop")
    parser.add_argument("--peers", type=Path, help="environment that has Pythae (make peers)")
    args = parser.parse_args()
    rows = []
    for model in args.models:
        row = compare(model, args.data, args.pairs, args.seconds, args.peers)
        rows.append(row)
        print(line(row), flush=True)
    name = HERE / f"results/speed-{args.data}.json"
    write_json(name, {"rows": rows, "threads": torch.get_num_threads(), "made_by": provenance(torch.device("cpu"))})


def line(row: dict) -> str:
    """One model's figures for a person."""
    said = [f"{row['model']:6} {row['ours_images_per_s']:>8,} images/s"]
    for key in (key for key in row if key.startswith("over_")):
        side = key.removeprefix("over_")
        s = row[key]
        said.append(f"{side} {row[side + '_images_per_s']:,}: {s['median']:.2f}x ({s['least']:.2f}–{s['most']:.2f})")
    s = row["bfloat16_over_ours"]
    said.append(f"in bfloat16 {s['median']:.2f}x ({s['least']:.2f}–{s['most']:.2f})")
    f = row["fraction_of_limit"]
    return ", ".join(said) + f"; {f['median']:.0%} of the limit ({f['least']:.0%}–{f['most']:.0%})"


if __name__ == "__main__":
    main()
