"""How often are copies found, and honest images taken for copies? Into benchmarks/results/copies.json.

    python benchmarks/copies.py [--data mnist cifar10] [--draws 40]

12,000 training images are held out as what a perfect model would draw. A model that copies is made of these and of
planted copies of the other training images. Everything is looked at once; a draw then takes n of them at random, and a
random half of the test images as reference. Honest are draws of held-out images, of test images that are not in the
reference, and of samples of models trained for a few epochs.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import counterfeit as cf
from counterfeit import detectors
from counterfeit.metrics.copying_test import copying_test
from counterfeit.metrics.memorization import Nearest, Neighbors, near_copies, neighbors
from counterfeit.runs import provenance
from counterfeit.scoring.copies import Gallery, shrunk
from counterfeit.system.files import write_json

ROOT = Path(__file__).parent.parent
HELD = 12_000
PLANTED = 2_000  # copies of each kind: 20 % of 10,000
SHARES = (0.01, 0.02, 0.05, 0.2)
SIZES = (2_000, 10_000)
MODELS = {"vae": 10, "dcgan": 2}  # epochs on
FEW = 5_000  # of the training images, which makes models that are bad, but honest
SAMPLES = 10_000

Json = dict[str, Any]


def moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By a pixel up, down, left or right; the edge is repeated, as augmentation does."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    h, w = images.shape[2:]
    places = np.array([(0, 1), (2, 1), (1, 0), (1, 2)])[rng.integers(4, size=len(images))]
    return np.stack([one[:, y : y + h, x : x + w] for one, (y, x) in zip(padded, places, strict=True)])


def as_jpeg(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of quality 75, Pillow's default."""
    found = []
    for one in images:
        file = io.BytesIO()
        Image.fromarray(one.transpose(1, 2, 0).squeeze()).save(file, "JPEG", quality=75)
        found.append(np.asarray(Image.open(file)).reshape(*one.shape[1:], -1).transpose(2, 0, 1))
    return np.stack(found)


def noisy(images: np.ndarray, rng: np.random.Generator, sd: float) -> np.ndarray:
    return np.clip(np.round(images + rng.normal(0, sd, images.shape)), 0, 255).astype(np.uint8)


def mirrored(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.ascontiguousarray(images[..., ::-1])


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "exact": lambda images, rng: images,
    "mirrored": mirrored,
    "moved by 1 pixel": moved,
    "JPEG, quality 75": as_jpeg,
    "noise, sd 2 of 255": lambda images, rng: noisy(images, rng, 2),
    "noise, sd 5 of 255": lambda images, rng: noisy(images, rng, 5),
    "mirrored, moved and JPEG": lambda images, rng: as_jpeg(moved(mirrored(images, rng), rng), rng),
}


def pooled(seen: cf.ImageSet, held: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """All images that a generated set may be made of, by what they are."""
    yield "held out", held
    rng = np.random.default_rng(1)
    for kind, made in KINDS.items():
        yield kind, made(seen.images[np.sort(rng.choice(len(seen), PLANTED, replace=False))], rng)
    with tempfile.TemporaryDirectory() as folder:
        for model, epochs in MODELS.items():
            run = cf.train(model, seen.images[:FEW], epochs=epochs, out=Path(folder) / model, quiet=True)
            yield model, run.sample(SAMPLES, seed=1)


def features(detector: detectors.Detector, images: np.ndarray) -> np.ndarray:
    return np.concatenate([detector(images[i : i + 1000]).features for i in range(0, len(images), 1000)])


def looked_at(data: str) -> tuple[Neighbors, dict[str, np.ndarray], Json]:
    """The neighbors of everything, which rows of the generated ones are of each kind, and how it was measured."""
    train, test = cf.load_data(data, "train"), cf.load_data(data, "test")
    rows = np.random.default_rng(0).permutation(len(train))
    held, seen = train.images[np.sort(rows[:HELD])], cf.load_data(train.images[np.sort(rows[HELD:])])
    parts = dict(pooled(seen, held))
    ends = np.cumsum([len(part) for part in parts.values()])
    where = {name: np.arange(end - len(part), end) for (name, part), end in zip(parts.items(), ends, strict=True)}
    everything = np.concatenate(list(parts.values()))
    print(f"{data}: {len(everything):,} generated images of {', '.join(parts)}", flush=True)
    detector = detectors.load(detectors.auto(data, train.shape)[0])
    began = time.process_time()
    gallery = Gallery(seen)
    matches = gallery.search(shrunk(test.images)), gallery.search(shrunk(everything))
    seconds = time.process_time() - began
    print(f"{data}: searched in {seconds:.0f} s", flush=True)
    sets = (features(detector, images) for images in (seen.images, test.images, everything))
    # For every n here there are as many cells, the most there can be: nothing depends on n but the draws.
    whole = neighbors(*sets, matches=matches)
    how = {"detector": detector.name, "training_images": len(seen), "searched": len(test) + len(everything)}
    return whole, where, how | {"search_s": round(seconds, 1), "made_by": provenance(detector.device)}


def flagged(whole: Neighbors, fake: Nearest, order: np.ndarray) -> dict[str, float]:
    """Whether a set is flagged, by the first half of the test images in this order."""
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    found = replace(whole, fake=fake, halves=halves)
    values = near_copies(found)["Near-copies"], copying_test(found)["C_T"]
    return {name: value.extras["flagged"] for name, value in zip(("near-copies", "ct"), values, strict=True)}


def drawn(whole: Neighbors, where: dict[str, np.ndarray], n: int, draws: int) -> Iterator[Json]:
    """Shares of the draws of n images that are flagged, of honest sets and of copies by kind and share."""

    def row(what: str, share: float, choose: Callable[[np.random.Generator, np.ndarray], Nearest]) -> Json:
        found = []
        for seed in range(draws):
            rng = np.random.default_rng([n, seed])
            order = rng.permutation(len(whole.test.distance))
            found.append(flagged(whole, choose(rng, order), order))
        rates = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        return {"what": what, "share": share, "n": n, "draws": draws, "flagged": rates}

    def planted(kind: str, share: float) -> Callable[[np.random.Generator, np.ndarray], Nearest]:
        def choose(rng: np.random.Generator, order: np.ndarray) -> Nearest:
            copies = round(share * n)
            rows = rng.choice(where["held out"], n - copies, replace=False), rng.choice(where[kind], copies, False)
            return whole.fake[np.concatenate(rows)]

        return choose

    yield row("test images", 0, lambda rng, order: whole.test[order[len(order) // 2 :][:n]])
    for name in ("held out", *MODELS):
        yield row(name, 0, lambda rng, order, rows=where[name]: whole.fake[rng.choice(rows, n, replace=False)])
    for kind in KINDS:
        for share in SHARES:
            yield row(kind, share, planted(kind, share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mnist", "cifar10"])
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/copies.json")
    args = parser.parse_args()
    for data in args.data:
        whole, where, how = looked_at(data)
        rows = []
        for n in SIZES:
            for one in drawn(whole, where, n, args.draws):
                print(data, one, flush=True)
                rows.append(one)
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        write_json(args.out, {**known, data: {**how, "rows": rows}})


if __name__ == "__main__":
    main()
