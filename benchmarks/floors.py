"""The floors: real images in the place of generated ones, by every metric, each with its spread.

    python benchmarks/floors.py [--data mnist fashion-mnist cifar10] [--n 500 2000 10000] [--out FILE]

What a perfect model would get: the values that `counterfeit score` prints beside a model's. The metrics of memorization
have none; theirs are of n training images against the others, as if a model had been trained on these. Each data set
with its own small detector.

Under "fresh" is what it costs that FID's and KID's floors are of training images, which the detector knows: half of the
test set against the other half, and 5,000 training images against the same half, over five halvings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import counterfeit as cf
from counterfeit import detectors
from counterfeit.data.arrays import from_array
from counterfeit.metrics import METRICS
from counterfeit.metrics.frechet import fid
from counterfeit.metrics.kernel import kid
from counterfeit.scoring import Images, Score
from counterfeit.scoring.features import of_real
from counterfeit.scoring.images import subset
from counterfeit.scoring.scorer import Scorer
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results"
NAMES = [name for name, metric in METRICS.items() if not metric.on_request]
SEED = 0


def floor(data: str, n: int) -> Score:
    """n seeded training images, the first draw of the floors, against the test set; the floors stand beside."""
    train, test = cf.load_data(data, "train"), cf.load_data(data, "test")
    name, _ = detectors.auto(data, train.shape)
    chosen = np.zeros(len(train), dtype=bool)
    chosen[np.concatenate(list(subset(len(train), n, SEED)))] = True
    played = from_array(train.images[chosen], name=f"{n:,} of {data}:train")
    others = from_array(train.images[~chosen], name=f"the other images of {data}:train")
    fakes = replace(Images.of_set(played), labels=lambda n: train.labels[chosen])
    return Scorer(detectors.load(name), test, other=train, train=others).score(fakes, NAMES, n, SEED)


def fresh(data: str, halvings: int = 5) -> dict[str, dict[str, list[float]]]:
    """FID and KID of 5,000 images against 5,000 of the test set: the other test images, and training images."""
    train, test = cf.load_data(data, "train"), cf.load_data(data, "test")
    detector = detectors.load(detectors.auto(data, train.shape)[0])
    seen, new = (of_real(detector, images, len(images), 0).features for images in (train, test))
    half, order = len(new) // 2, np.random.default_rng(SEED).permutation(len(seen))
    found: dict[str, dict[str, list[float]]] = {label: {"test": [], "train": []} for label in ("FID", "KID")}
    for i in range(halvings):
        rows = np.random.default_rng(i).permutation(len(new))
        real, others = new[rows[:half]], {"test": new[rows[half:]], "train": seen[order[i * half : (i + 1) * half]]}
        for kind, fake in others.items():
            found["FID"][kind].append(fid(real, fake, error=False).value)
            found["KID"][kind].append(kid(real, fake).value)
    return found


def markdown(data: str, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a metric, a column a number of images."""
    first = next(iter(scores.values()))
    lines = [[f"{data}, {first['receipt']['detector']['name']}", *(f"n = {int(n):,}" for n in scores)]]
    lines.append(["---"] * len(lines[0]))
    for key in first["metrics"]:
        lines.append([key.partition("[")[0], *(in_words(score["metrics"][key]) for score in scores.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_words(one: Mapping[str, Any]) -> str:
    """The floor, or of memorization the value, each with what stands after its ±."""
    floor = one["floor"] is not None
    value, spread = (one["floor"], one["floor_std"]) if floor else (one["value"], one["uncertainty"])
    return f"{value:.4g}" + ("" if spread is None else f" ± {spread:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--n", nargs="+", type=int, default=[500, 2000, 10_000], help="training images in a set")
    parser.add_argument("--out", type=Path, default=RESULTS / "floors.json")
    args = parser.parse_args()
    for data in args.data:
        scores = {str(n): floor(data, n).to_dict() for n in args.n}
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        beside = {**known.get("fresh", {}), data: fresh(data)}
        write_json(args.out, {**known, data: scores, "fresh": beside})
        print("\n" + markdown(data, scores))
        for label, kinds in beside[data].items():
            told = (f"{kind} {np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}" for kind, values in kinds.items())
            print(f"{label} of 5,000 against 5,000 test images: {', '.join(told)}")
        for n, score in scores.items():
            print(
                "\n".join(f"n = {n}, {key}: {note}" for key, one in score["metrics"].items() for note in one["notes"])
            )


if __name__ == "__main__":
    main()
