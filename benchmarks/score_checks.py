"""Does each score move the right way? Real training images, made worse step by step, against the test set.

    python benchmarks/score_checks.py [--data mnist fashion-mnist cifar10] [--n 10000] [--out FILE] [--pictures FOLDER]

Noise, blur, dropped classes and mode collapse for the scores of quality; planted copiers for those of memorisation;
each data set with its own small detector. Prints Markdown tables and every step that went the wrong way.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F

import counterfeit as cf
from counterfeit import detectors
from counterfeit.data.arrays import from_array
from counterfeit.files import write_json
from counterfeit.metrics import METRICS
from counterfeit.runs import provenance
from counterfeit.scoring import Images, Score
from counterfeit.scoring.images import subset
from counterfeit.scoring.scorer import Scorer

ROOT = Path(__file__).parent.parent
QUALITY = [name for name, metric in METRICS.items() if not {"train", "labels"} & set(metric.needs)]
MEMORISATION = [name for name, metric in METRICS.items() if "train" in metric.needs]
SEED = 0


def noisy(images: np.ndarray, sigma: float) -> np.ndarray:
    """uint8 (N, C, H, W) with Gaussian noise of this standard deviation (of 255), clipped; the same noise, scaled."""
    noise = np.random.default_rng(SEED).standard_normal(images.shape, dtype=np.float32)
    return np.rint(np.clip(images + sigma * noise, 0, 255)).astype(np.uint8)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """uint8 (N, C, H, W) under a Gaussian filter of this standard deviation in pixels; the border is repeated."""
    if sigma == 0:
        return images
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * sigma**2))
    kernel /= kernel.sum()
    out = []
    for part in torch.from_numpy(images).split(1000):
        x = part.float().flatten(0, 1)[:, None]  # (N·C, 1, H, W)
        x = F.pad(x, (reach,) * 4, mode="replicate")
        x = F.conv2d(F.conv2d(x, kernel[None, None, None]), kernel[None, None, :, None])
        out.append(x.view(part.shape).round().clamp(0, 255).byte())
    return torch.cat(out).numpy()


def without_classes(train: cf.ImageSet, dropped: int, n: int) -> np.ndarray:
    """n images without the last `dropped` classes, in one seeded order."""
    order = np.random.default_rng(SEED).permutation(len(train))
    kept = order[train.labels[order] < len(train.classes) - dropped]
    return train.images[np.sort(kept[:n])]


def collapsed(images: np.ndarray, distinct: int) -> np.ndarray:
    """As many images, of which only the first few are there, again and again."""
    return images[np.arange(len(images)) % distinct]


@dataclass(frozen=True)
class Series:
    """Images that get worse from step to step, and which way each score has to go.

    Attributes:
        what: the unit of the steps, for the table.
        make: (training set, n, step) -> images; the first step is as they are.
        rising, falling: labels of scores that must; of the others nothing is claimed.
    """

    what: str
    steps: tuple[float, ...]
    make: Callable[[cf.ImageSet, int, float], np.ndarray]
    rising: tuple[str, ...]
    falling: tuple[str, ...]


def some(train: cf.ImageSet, n: int) -> np.ndarray:
    """n seeded training images, those of the floor."""
    return train.images[np.concatenate(list(subset(len(train), n, SEED)))]


def class_size(train: cf.ImageSet, n: int) -> int:
    """n, or all that is left when one class is: FID depends on n, so that every step has the same."""
    return min(n, int(np.sum(train.labels == 0)))


DISTANCES = ("FID", "FID-infinity", "KID")
FIDELITY = ("Precision", "PRDC-precision", "Density")
DIVERSITY = ("Recall", "PRDC-recall", "Coverage")
SERIES = {
    "noise": Series(
        "standard deviation of Gaussian noise, of 255",
        (0, 8, 16, 32, 64, 128),
        lambda train, n, step: noisy(some(train, n), step),
        DISTANCES,
        ("IS", *FIDELITY, "Coverage"),
    ),
    "blur": Series(
        "standard deviation of a Gaussian filter, pixels",
        (0, 0.5, 1, 1.5, 2, 4),
        lambda train, n, step: blurred(some(train, n), step),
        DISTANCES,
        ("IS", *FIDELITY, "Coverage"),
    ),
    "drop": Series(
        "classes dropped, the last ones first",
        (0, 1, 2, 5, 9),
        lambda train, n, step: without_classes(train, int(step), class_size(train, n)),
        DISTANCES,
        ("IS", *DIVERSITY),
    ),
    "collapse": Series(
        "share of the images that are different ones, the others repeat them",
        (1, 0.1, 0.01, 0.001),
        lambda train, n, step: collapsed(some(train, n), max(1, round(n * step))),
        DISTANCES,
        DIVERSITY,
    ),
}


def as_images(images: np.ndarray, name: str) -> Images:
    """What a Scorer takes."""
    return Images.of_set(from_array(images, name=name))


def plain(score: Score) -> dict[str, dict[str, Any]]:
    """Value, uncertainty and extras by label, without the detector's name."""
    return {
        key.partition("[")[0]: {"value": one.value, "uncertainty": one.uncertainty, **one.extras}
        for key, one in score.items()
    }


def wrong_steps(series: Series, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every step at which a score went the other way, with its figures."""
    found = []
    for label in (*series.rising, *series.falling):
        sign = 1 if label in series.rising else -1
        for before, after in zip(rows, rows[1:], strict=False):
            a, b = before["metrics"][label], after["metrics"][label]
            if sign * (b["value"] - a["value"]) < 0:
                found.append(
                    f"{label} {'falls' if sign > 0 else 'rises'} from {in_words(a)} at {before['step']:g} "
                    f"to {in_words(b)} at {after['step']:g}"
                )
    return found


def in_words(one: Mapping[str, Any]) -> str:
    spread = "" if one["uncertainty"] is None else f" ± {one['uncertainty']:.2g}"
    return f"{one['value']:.4g}{spread}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def check_series(scorer: Scorer, train: cf.ImageSet, n: int, name: str) -> dict[str, Any]:
    """Score every step, and print the table."""
    series = SERIES[name]
    rows = []
    for step in series.steps:
        fakes = as_images(series.make(train, n, step), f"{name} {step:g}")
        score = scorer.score(fakes, QUALITY, n)
        rows.append({"step": step, "n": score.receipt["generated"]["n"], "metrics": plain(score)})
    wrong = wrong_steps(series, rows)
    claims = {**dict.fromkeys(series.rising, "rises"), **dict.fromkeys(series.falling, "falls")}
    table = [
        [label, *(f"{row['metrics'][label]['value']:.4g}" for row in rows), claims.get(label, "")]
        for label in rows[0]["metrics"]
    ]
    print(f"\n### {train.name}, {name}: {series.what}, n = {rows[0]['n']:,}\n")
    print(markdown([scorer.detector.name, *(f"{step:g}" for step in series.steps), "must"], table))
    print(
        "\n" + ("\n".join(f"NOT MONOTONIC: {one}" for one in wrong) or "Every claim holds at every step."), flush=True
    )
    return {"what": series.what, "rows": rows, "not_monotonic": wrong}


def copiers(train: cf.ImageSet, held: np.ndarray) -> dict[str, tuple[np.ndarray, bool]]:
    """Sets of images from `held`, which the model never saw, and from its training images: images, is it a copier."""
    half = len(held) // 2
    copies, twentieth = train.images[:half], len(held) // 20
    return {
        "real images that were held out": (held, False),
        "held out, noise 32": (noisy(held, 32), False),
        "held out, blur 1": (blurred(held, 1), False),
        "half copies, half held out": (np.concatenate([copies, held[half:]]), True),
        "half copies with noise 2, half held out": (np.concatenate([noisy(copies, 2), held[half:]]), True),
        "half copies, half noise 64": (np.concatenate([copies, noisy(held[half:], 64)]), True),
        "1 in 20 a copy, others held out": (np.concatenate([train.images[:twentieth], held[twentieth:]]), True),
    }


def check_memorisation(detector: detectors.Detector, test: cf.ImageSet, train: cf.ImageSet, n: int) -> dict[str, Any]:
    """n training images are held out as what a perfect model would draw; the others are what it was trained on."""
    chosen = np.zeros(len(train), dtype=bool)
    chosen[np.concatenate(list(subset(len(train), n, SEED)))] = True
    seen = cf.load_data(train.images[~chosen])
    scorer = Scorer(detector, test, train=seen)
    rows, table, wrong = [], [], []
    for name, (images, copier) in copiers(seen, train.images[chosen]).items():
        found = plain(scorer.score(as_images(images, name), MEMORISATION, n))
        rows.append({"fakes": name, "copier": copier, "n": len(images), "metrics": found})
        cells = [f"{found['Authenticity']['value']:.3f}"]
        for label in ("Near-copies", "C_T"):
            one = found[label]
            cells.append(f"{one['value']:.3g} (z = {one['z']:.1f}){' **flagged**' if one['flagged'] else ''}")
        table.append([name, *cells, "yes" if copier else "no"])
        if bool(found["Near-copies"]["flagged"]) != copier:
            wrong.append(f"{name}: near-copies {'flags it' if not copier else 'misses it'}: {cells[1]}")
        if found["C_T"]["flagged"] and not copier:
            wrong.append(f"{name}: C_T flags it: {cells[2]}")
        if copier and not found["C_T"]["flagged"]:
            wrong.append(f"{name}: C_T misses it: {cells[2]}")
    own = [rows[0]["metrics"][f"{label} (test)"] for label in ("Authenticity", "Near-copies", "C_T")]
    wrong += [f"the test set's own half is flagged: z = {one['z']:.1f}" for one in own[1:] if one["flagged"]]
    table.append(
        ["the test set's other half", f"{own[0]['value']:.3f}"]
        + [f"{one['value']:.3g} (z = {one['z']:.1f}){' **flagged**' if one['flagged'] else ''}" for one in own[1:]]
        + ["no"]
    )
    print(f"\n### {train.name}: memorisation, n = {n:,}, {len(seen):,} training images\n")
    print(markdown([detector.name, "Authenticity", "Near-copies", "C_T", "copier?"], table))
    print("\n" + ("\n".join(f"NOT AS EXPECTED: {one}" for one in wrong) or "All as expected."), flush=True)
    return {"training_images": len(seen), "rows": rows, "not_as_expected": wrong}


def picture(train: cf.ImageSet, found: Mapping[str, Any], detector: str, path: Path) -> None:
    """What the steps of noise and blur look like, with the FID of each."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ("noise", "blur")
    figure, axes = pyplot.subplots(len(names), 6, figsize=(9, 3.6), layout="constrained")
    few = some(train, 9)
    for line, name in zip(axes, names, strict=True):
        rows = found[name]["rows"]
        for ax, row in zip(line, rows, strict=True):
            worse = noisy(few, row["step"]) if name == "noise" else blurred(few, row["step"])
            grid = worse.reshape(3, 3, *train.shape).transpose(0, 3, 1, 4, 2)  # (3, H, 3, W, C)
            grid = grid.reshape(3 * train.shape[1], 3 * train.shape[2], train.shape[0])
            ax.imshow(grid.squeeze(), cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"{name} {row['step']:g}\nFID {row['metrics']['FID']['value']:.3g}", fontsize=9)
            ax.axis("off")
    figure.suptitle(f"{train.name}: FID[{detector}] of real images made worse", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def check(data: str, n: int, pictures: Path) -> Iterator[dict[str, Any]]:
    """Everything for one data set; yields what there is after each part, so that a stop loses little."""
    train, test = cf.load_data(data, "train"), cf.load_data(data, "test")
    name, _ = detectors.auto(data, train.shape)
    detector = detectors.load(name)
    scorer = Scorer(detector, test)
    found: dict[str, Any] = {
        "detector": {"name": name, "weights_sha256": detector.weights_sha256},
        "made_by": provenance(detector.device),
        "series": {},
    }
    for one in SERIES:
        found["series"][one] = check_series(scorer, train, n, one)
        yield found
    picture(train, found["series"], name, pictures / f"score-checks-{data}.png")
    yield {**found, "memorisation": check_memorisation(detector, test, train, n)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--n", type=int, default=10_000, help="images of a set")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/score-checks.json")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs/images")
    args = parser.parse_args()
    for data in args.data:
        for found in check(data, args.n, args.pictures):
            known = json.loads(args.out.read_text()) if args.out.exists() else {}
            write_json(args.out, {**known, data: found})


if __name__ == "__main__":
    main()
