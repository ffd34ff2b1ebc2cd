"""DiffAugment on a folder of 500 photos: FID with and without, by steps.

    python benchmarks/few_images.py [--runs runs/few] [--steps 3000] [--seeds 0 1]

The folder has 500 training images of CIFAR-10, 50 of each class; samples are scored against the 10,000 test images. A
row that was measured before stays until its run is removed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "few-images.json"
OF_CLASS = 50
AUGMENT = ("none", "color,translation,cutout")
METRICS = ("FID", "PRDC-precision", "PRDC-recall")


def folder(home: Path) -> Path:
    """500 PNGs, made once."""
    if not home.exists():
        home.mkdir(parents=True)
        data = cf.load_data("cifar10")
        assert data.labels is not None
        chosen = np.concatenate([np.flatnonzero(data.labels == label)[:OF_CLASS] for label in range(10)])
        for place in chosen:
            Image.fromarray(data.images[place].transpose(1, 2, 0)).save(home / f"{place:05d}.png")
    return home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/few"))
    parser.add_argument("--model", default="sngan")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    args = parser.parse_args()
    photos, rows = folder(args.runs / "photos"), []
    for seed in args.seeds:
        for augment in AUGMENT:
            out = args.runs / f"{args.model}-{augment.replace(',', '-')}-s{seed}"
            settings = {
                "steps": args.steps,
                "batch_size": 64,
                "seed": seed,
                "augment": augment,
                "precision": "bfloat16",
            }
            run = cf.train(args.model, photos, out=out, resume=out.exists(), **settings)
            score = run.score(real="cifar10", n=10_000, metrics=["fid", "prdc"])
            values = {name: score[f"{name}[cifar10-cnn]"].value for name in METRICS}
            rows.append({"model": args.model, **settings, **values})
            print(json.dumps(rows[-1]), flush=True)
            write_json(RESULTS, {"rows": rows, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
