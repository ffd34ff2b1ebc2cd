"""Does each score move the right way? Real training images, made worse step by step, against the test set.

    python benchmarks/score_checks.py [--data mnist fashion-mnist cifar10] [--n 10000] [--out FILE] [--pictures FOLDER]
    python benchmarks/score_checks.py --page

Noise, blur, dropped classes and mode collapse for the scores of quality; planted copiers for those of memorization;
each data set with its own small detector. Prints Markdown tables and every step that went the wrong way; --page writes
the tables of what has been measured to docs/score-checks.md.
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
from counterfeit.metrics import METRICS
from counterfeit.runs import provenance
from counterfeit.scoring import Images, Score
from counterfeit.scoring.images import subset
from counterfeit.scoring.scorer import Scorer
from counterfeit.system.files import write_json

ROOT = Path(__file__).parent.parent
QUALITY = [
    name for name, metric in METRICS.items() if not (metric.on_request or {"train", "labels"} & set(metric.needs))
]
MEMORIZATION = [name for name, metric in METRICS.items() if "train" in metric.needs]
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
    found = {"what": series.what, "rows": rows, "not_monotonic": wrong_steps(series, rows)}
    print("\n" + series_in_words(train.name, name, scorer.detector.name, found), flush=True)
    return found


def series_in_words(data: str, name: str, detector: str, found: Mapping[str, Any]) -> str:
    """A heading, a table, and what went the wrong way."""
    series, rows = SERIES[name], found["rows"]
    claims = {**dict.fromkeys(series.rising, "rises"), **dict.fromkeys(series.falling, "falls")}
    table = [
        [label, *(f"{row['metrics'][label]['value']:.4g}" for row in rows), claims.get(label, "")]
        for label in rows[0]["metrics"]
    ]
    wrong = [f"NOT MONOTONIC: {one}" for one in found["not_monotonic"]]
    return "\n\n".join(
        [
            f"### {data}, {name}: {series.what}, n = {rows[0]['n']:,}",
            markdown([detector, *(f"{step:g}" for step in series.steps), "must"], table),
            "  \n".join(wrong) or "Every claim holds at every step.",
        ]
    )


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


def check_memorization(detector: detectors.Detector, test: cf.ImageSet, train: cf.ImageSet, n: int) -> dict[str, Any]:
    """n training images are held out as what a perfect model would draw; the others are what it was trained on."""
    chosen = np.zeros(len(train), dtype=bool)
    chosen[np.concatenate(list(subset(len(train), n, SEED)))] = True
    seen = cf.load_data(train.images[~chosen])
    scorer = Scorer(detector, test, train=seen)
    rows, wrong = [], []
    for name, (images, copier) in copiers(seen, train.images[chosen]).items():
        found = plain(scorer.score(as_images(images, name), MEMORIZATION, n))
        rows.append({"fakes": name, "copier": copier, "n": len(images), "metrics": found})
        if bool(found["Near-copies"]["flagged"]) != copier:
            wrong.append(f"{name}: near-copies {'misses it' if copier else 'flags it'}: {with_z(found['Near-copies'])}")
        if bool(found["C_T"]["flagged"]) != copier:
            wrong.append(f"{name}: C_T {'misses it' if copier else 'flags it'}: {with_z(found['C_T'])}")
    own = [rows[0]["metrics"][f"{label} (test)"] for label in ("Near-copies", "C_T")]
    wrong += [f"the test set's own half is flagged: z = {one['z']:.1f}" for one in own if one["flagged"]]
    result = {"training_images": len(seen), "rows": rows, "not_as_expected": wrong}
    print("\n" + memorization_in_words(train.name, detector.name, result), flush=True)
    return result


def with_z(one: Mapping[str, Any]) -> str:
    return f"{one['value']:.3g} (z = {one['z']:.1f}){' **flagged**' if one['flagged'] else ''}"


def memorization_in_words(data: str, detector: str, found: Mapping[str, Any]) -> str:
    """A heading, a table, and what was not as expected."""
    rows = found["rows"]

    def line(name: str, metrics: Mapping[str, Any], suffix: str, copier: bool) -> list[str]:
        cells = [with_z(metrics[f"{label}{suffix}"]) for label in ("Near-copies", "C_T")]
        return [name, f"{metrics[f'Authenticity{suffix}']['value']:.3f}", *cells, "yes" if copier else "no"]

    table = [line(row["fakes"], row["metrics"], "", row["copier"]) for row in rows]
    table.append(line("the test set's other half", rows[0]["metrics"], " (test)", False))
    wrong = [f"NOT AS EXPECTED: {one}" for one in found["not_as_expected"]]
    return "\n\n".join(
        [
            f"### {data}: memorization, n = {rows[0]['n']:,}, {found['training_images']:,} training images",
            markdown([detector, "Authenticity", "Near-copies", "C_T", "copier?"], table),
            "  \n".join(wrong) or "All as expected.",
        ]
    )


INTRO = """# Do the scores move the right way?

Real training images, made worse step by step, against the test set, each data set by its own small detector. "must" is
what is claimed; where it is empty, nothing is. Every step that went the other way is named below its table. Made by
`python benchmarks/score_checks.py` (`make checks`); the figures with their uncertainties and machine are in
`benchmarks/results/score-checks.json`. What it means: [metrics](metrics.md#do-they-move-the-right-way).
"""


def page(results: Mapping[str, Any]) -> str:
    """docs/score-checks.md from what has been measured."""
    parts = [INTRO.rstrip()]
    for data, found in results.items():
        detector = found["detector"]["name"]
        shown = f"![{data} under noise and blur, with FID](images/score-checks-{data}.png)"
        parts += [f"## {data}", shown]
        parts += [series_in_words(data, name, detector, one) for name, one in found["series"].items()]
        if "memorization" in found:
            parts.append(memorization_in_words(data, detector, found["memorization"]))
    return "\n\n".join(parts) + "\n"


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
    yield {**found, "memorization": check_memorization(detector, test, train, n)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--n", type=int, default=10_000, help="images of a set")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/score-checks.json")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs/images")
    parser.add_argument("--page", action="store_true", help="write docs/score-checks.md of what is in --out, and end")
    args = parser.parse_args()
    if args.page:
        (ROOT / "docs/score-checks.md").write_text(page(json.loads(args.out.read_text())))
        return
    for data in args.data:
        for found in check(data, args.n, args.pictures):
            known = json.loads(args.out.read_text()) if args.out.exists() else {}
            write_json(args.out, {**known, data: found})


if __name__ == "__main__":
    main()
