"""The floors: real training images against real test images, by every metric, each with its uncertainty.

    python benchmarks/floors.py [--data mnist fashion-mnist cifar10] [--n 500 2000 10000] [--out FILE]

What a perfect model would get. The n training images play the generated ones; for memorisation they are what a model
was not trained on, the other training images what it was. Each data set with its own small detector.
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
from counterfeit.files import write_json
from counterfeit.metrics import METRICS
from counterfeit.scoring import Images, Score
from counterfeit.scoring.images import subset
from counterfeit.scoring.scorer import Scorer

RESULTS = Path(__file__).parent / "results"
SEED = 0


def floor(data: str, n: int) -> Score:
    """n seeded training images, the same as in the floors that `counterfeit score` prints, against the test set."""
    train, test = cf.load_data(data, "train"), cf.load_data(data, "test")
    name, _ = detectors.auto(data, train.shape)
    chosen = np.zeros(len(train), dtype=bool)
    chosen[np.concatenate(list(subset(len(train), n, SEED)))] = True
    played = from_array(train.images[chosen], name=f"{n:,} of {data}:train")
    others = from_array(train.images[~chosen], name=f"the other images of {data}:train")
    fakes = replace(Images.of_set(played), labels=lambda n: train.labels[chosen])
    return Scorer(detectors.load(name), test, train=others).score(fakes, list(METRICS), n, SEED)


def markdown(data: str, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a metric, a column a number of images."""
    first = next(iter(scores.values()))
    lines = [[f"{data}, {first['receipt']['detector']['name']}", *(f"n = {int(n):,}" for n in scores)]]
    lines.append(["---"] * len(lines[0]))
    for key in first["metrics"]:
        lines.append([key.partition("[")[0], *(in_words(score["metrics"][key]) for score in scores.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_words(one: Mapping[str, Any]) -> str:
    return f"{one['value']:.4g}" + ("" if one["uncertainty"] is None else f" ± {one['uncertainty']:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--n", nargs="+", type=int, default=[500, 2000, 10_000], help="training images in a set")
    parser.add_argument("--out", type=Path, default=RESULTS / "floors.json")
    args = parser.parse_args()
    for data in args.data:
        scores = {str(n): floor(data, n).to_dict() for n in args.n}
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        write_json(args.out, {**known, data: scores})
        print("\n" + markdown(data, scores))
        for n, score in scores.items():
            print(
                "\n".join(f"n = {n}, {key}: {note}" for key, one in score["metrics"].items() for note in one["notes"])
            )


if __name__ == "__main__":
    main()
