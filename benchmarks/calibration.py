"""Is the ± right? The standard errors that metrics claim, against the spread over independent draws of both sets.

    python benchmarks/calibration.py [--cells mnist/vae cifar10/real …] [--n 2000 10000] [--draws 40]

A cell is a data set, a generator and a number of images in each of the two sets. Each draw takes n new real images and
n new generated ones, and computes every metric with its standard error. If that error means what it says, the root of
its mean square over the draws is the standard deviation of the values. VAE and DCGAN are trained for two epochs: bad
models, whose distribution differs from the data. `real` scores real images against other real images.

Real images come from the two splits together, less `TRAIN` images that play the training set for memorization. N are
left; draws from them without replacement make the real part of the variance smaller by 1 − n/N, to first order. The
spread is corrected for that; how large the part is, the metric's own parts of its standard error say.
In `real` both sets are halves of one draw of 2 n. There two equal distributions are compared: an image in one set has
the opposite first-order effect of one in the other, and Var(x̄ − ȳ) of disjoint draws is 2σ²/n, with nothing to correct:
the covariance −σ²/N makes up for the 1 − n/N. Metrics that see the generated images only are corrected there too.

`fixed` is the same with the real images of the first draw throughout, against `standard_error_fake`: the ± of a
score against a published test set. Rows that are in the result file already, by the same protocol and source of the
metrics, are not computed again; two processes may compute different cells at once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import counterfeit as cf
from counterfeit import detectors
from counterfeit.detectors import Detector, Features
from counterfeit.metrics import METRICS, Inputs, Value
from counterfeit.runs import provenance, source
from counterfeit.system.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results/calibration.json"
KEPT = ROOT / "runs/calibration"
DETECTORS = {"mnist": "mnist-cnn", "cifar10": "cifar10-cnn"}
GENERATORS = ("vae", "dcgan", "real")
CELLS = [f"{data}/{generator}" for data in DETECTORS for generator in GENERATORS]
TRAIN = 5000
EPOCHS = 2

Json = dict[str, Any]


def looked_at(detector: Detector, batches: Iterator[np.ndarray], path: Path) -> Features:
    """Features and class probabilities of images, kept in a file."""
    if not path.exists():
        found = [detector(batch) for batch in batches]
        path.parent.mkdir(parents=True, exist_ok=True)
        features, probabilities = (
            np.concatenate([getattr(f, key) for f in found]) for key in ("features", "probabilities")
        )
        beside = path.with_suffix(".part.npz")  # whole or absent, if killed
        np.savez(beside, features=features, probabilities=probabilities)
        beside.replace(path)
    with np.load(path) as arrays:
        return Features(arrays["features"], arrays["probabilities"])


def of_pool(data: str) -> tuple[Features, np.ndarray]:
    """Features and labels of all images of a data set, the training split first."""
    splits = [cf.load_data(data, split) for split in ("train", "test")]
    batches = (np.asarray(s.images[i : i + 1000]) for s in splits for i in range(0, len(s), 1000))
    found = looked_at(detectors.load(DETECTORS[data]), batches, KEPT / f"{data}-real.npz")
    return found, np.concatenate([s.labels for s in splits])


def of_generator(data: str, generator: str, count: int) -> Features:
    """Features of `count` generated images: one draw, which is cut into independent ones."""
    path = KEPT / f"{generator}-{data}"
    run = cf.load(path) if path.exists() else cf.train(generator, data=data, epochs=EPOCHS, out=path)
    detector = detectors.load(DETECTORS[data])
    return looked_at(detector, run.sample_batches(count), KEPT / f"{generator}-{data}-{count}.npz")


class Draws:
    """Draws of n real and n generated images of a cell, with what else a metric may need.

    Attributes:
        pool: how many real images there are to draw from.
    """

    def __init__(self, cell: str, n: int, count: int) -> None:
        data, self.generator = cell.split("/")
        self.n, self.count = n, count
        real, labels = of_pool(data)
        order = np.random.default_rng(0).permutation(len(labels))
        self.train, rows = real.features[order[:TRAIN]], order[TRAIN:]
        self.real, self.labels = Features(real.features[rows], real.probabilities[rows]), labels[rows]
        self.pool = len(rows)
        if self.generator == "real" and 2 * n > self.pool:
            raise SystemExit(f"{cell} has {self.pool:,} images, too few for twice {n:,}")
        self.fake = self.real if self.generator == "real" else of_generator(data, self.generator, n * count)

    def __call__(self, i: int, fixed: bool) -> Inputs:
        """The i-th draw; `fixed` takes the real images of the first."""
        real = self._shuffled(0 if fixed else i)[: self.n]
        labels = None
        fake = np.arange(i * self.n, (i + 1) * self.n)
        if self.generator == "real":
            others = np.setdiff1d(self._shuffled(i), real, assume_unique=True) if fixed else self._shuffled(i)[self.n :]
            fake = np.random.default_rng((i, 1)).permutation(others)[: self.n]
            labels = self.labels[fake]
        return Inputs(
            real=self.real.features[real],
            fake=self.fake.features[fake],
            probabilities=self.fake.probabilities[fake],
            real_probabilities=self.real.probabilities[real],
            labels=labels,
            real_classes=self.labels[real],
            fake_classes=labels,
            train=self.train,
        )

    def _shuffled(self, i: int) -> np.ndarray:
        return np.random.default_rng((i, 0)).permutation(self.pool)

    def left(self, name: str, fixed: bool) -> tuple[float, float]:
        """The shares of the real and of the generated set's variance that draws from a finite pool show."""
        if self.generator != "real":
            return 1 - self.n / self.pool, 1.0
        if fixed:
            return 0.0, 1 - self.n / (self.pool - self.n)
        alone = "real" not in METRICS[name].needs and "real_probabilities" not in METRICS[name].needs
        return 1.0, 1 - self.n / self.pool if alone else 1.0


def usable(draws: Draws, wanted: Collection[str]) -> dict[str, Any]:
    """The metrics, of those wanted, that have what they need."""
    inputs = draws(0, False)
    return {
        name: metric
        for name, metric in METRICS.items()
        if name in wanted and all(getattr(inputs, need) is not None for need in metric.needs)
    }


def parts(value: Value) -> tuple[float, float] | None:
    """The standard error's parts: from the sampling of the real and of the generated set."""
    try:
        return value.extras["standard_error_real"], value.extras["standard_error_fake"]
    except KeyError:
        return None


def calibrated(values: list[Value], left: tuple[float, float], fixed: bool) -> Json | None:
    """Claimed over true: one label's values over the draws. None where no error is claimed.

    `left` are the shares of each part's variance that the draws show. What is not known by parts is not corrected.
    """
    if any(one.uncertainty is None for one in values) or (fixed and parts(values[0]) is None):
        return None
    numbers = np.array([one.value for one in values])
    claimed = np.array([one.uncertainty for one in values])
    shown = claimed
    if parts(values[0]) is not None:
        real, fake = np.square([parts(one) for one in values]).T
        claimed = np.sqrt(fake) if fixed else claimed
        shown = np.sqrt(np.maximum(0.0, claimed**2 - (0 if fixed else 1 - left[0]) * real - (1 - left[1]) * fake))
    mean_claimed, mean_shown = (float(np.sqrt(np.mean(e**2))) for e in (claimed, shown))
    spread = float(numbers.std(ddof=1))
    if mean_shown > 0:
        spread *= mean_claimed / mean_shown  # as of endless images
    ratio = mean_claimed / spread if spread > 0 else None
    return {
        "mean": float(numbers.mean()),
        "spread": spread,
        "claimed": mean_claimed,
        "ratio": ratio,
        # of a standard deviation of normal values
        "ratio_error": None if ratio is None else ratio / np.sqrt(2 * (len(numbers) - 1)),
        "least_claimed": float(claimed.min()),
        "covered": float(np.mean(np.abs(numbers - numbers.mean()) <= 2 * shown)),
    }


def measured(cell: str, n: int, metrics: Collection[str], args: argparse.Namespace) -> Json:
    """A row a label of these metrics in one cell."""
    draws = Draws(cell, n, args.draws)
    todo = usable(draws, metrics)
    seconds = dict.fromkeys(todo, 0.0)
    rows: Json = {label: {} for metric in todo.values() for label in metric.labels}
    for how in ("both", "fixed") if not args.without_fixed else ("both",):
        found: dict[str, list[Value]] = {label: [] for label in rows}
        for i in range(args.draws):
            inputs = draws(i, how == "fixed")
            for name, metric in todo.items():
                start = time.process_time()
                for label, value in metric.compute(inputs).items():
                    found[label].append(value)
                seconds[name] += time.process_time() - start
        for name, metric in todo.items():
            for label in metric.labels:
                rows[label][how] = calibrated(found[label], draws.left(name, how == "fixed"), how == "fixed")
    made = {"protocol": protocol(args), "pool": draws.pool, "made_by": provenance(torch.device("cpu"))}
    times = args.draws * (1 if args.without_fixed else 2)
    for name, metric in todo.items():
        for label in metric.labels:
            rows[label] |= {"seconds_per_draw": round(seconds[name] / times, 3), **made}
    return rows


def protocol(args: argparse.Namespace) -> Json:
    """What decides a row's numbers."""
    asked = {key: getattr(args, key) for key in ("draws", "without_fixed")}
    return {**asked, "train": TRAIN, "epochs": EPOCHS, "code": source.digest("metrics")}


def table(cell: str, n: str, rows: Json) -> str:
    """A cell as Markdown."""
    both = ["mean", "spread", "claimed", "claimed / true", "within ± 2"]
    lines = [[f"{cell}, n = {int(n):,}", *both, "real set fixed: claimed / true", "within ± 2"]]
    lines.append(["---"] * len(lines[0]))
    for label, row in rows.items():
        whole, fixed = row["both"], row.get("fixed")
        cells = (
            ["–"] * 5 if whole is None else [*(f"{whole[k]:.4g}" for k in ("mean", "spread", "claimed")), *ends(whole)]
        )
        lines.append([label, *cells, *(["–"] * 2 if fixed is None else ends(fixed))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ends(row: Json) -> list[str]:
    """The ratio with its error, and the coverage."""
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f} ± {row['ratio_error']:.2f}"
    return [ratio, f"{row['covered']:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS, metavar="DATA/GENERATOR")
    parser.add_argument("--n", nargs="+", type=int, default=[2000, 10_000])
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--metrics", nargs="+", default=list(METRICS), choices=list(METRICS), help="these alone")
    parser.add_argument("--without-fixed", action="store_true", help="leave out the draws with the real set fixed")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    for n in args.n:
        for cell in args.cells:
            rows = read(args.out).get(cell, {}).get(str(n), {"rows": {}})["rows"]
            todo = {
                name
                for name in args.metrics
                if any(label not in rows or rows[label]["protocol"] != protocol(args) for label in METRICS[name].labels)
            }
            found = measured(cell, n, todo, args)
            known = read(args.out)  # others may have written
            rows = known.setdefault(cell, {}).setdefault(str(n), {"rows": {}})["rows"]
            rows |= found
            write_json(args.out, known)
            print("\n" + table(cell, str(n), rows), flush=True)
            print("seconds per draw:", {label: row["seconds_per_draw"] for label, row in found.items()}, flush=True)


def read(path: Path) -> Json:
    """What is known, by cell and number of images."""
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    main()
