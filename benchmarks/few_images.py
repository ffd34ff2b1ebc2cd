"""DiffAugment on a folder of 500 photos: FID with and without, by steps.

    python benchmarks/few_images.py [--runs runs/few] [--model r3gan] [--steps 5000 …] [--seeds 0 1] [--augment …]

The folder has 500 training images of CIFAR-10, 50 of each class; samples are scored against the 10,000 test images. A
row that was measured before stays until it is measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results" / "few-images.json"
OF_CLASS = 50
METRICS = ("FID", "PRDC-precision", "PRDC-recall")
OWN: dict[str, dict[str, Any]] = {  # batches of 128 would be a quarter of the folder
    "r3gan": {"batch_size": 32, "penalty_share": 0.125},
    "sngan": {"batch_size": 64},
}


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


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row is of."""
    return row["model"], row["steps"], row["augment"], row["seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/few"))
    parser.add_argument("--model", default="r3gan", choices=OWN)
    parser.add_argument("--steps", nargs="+", type=int, default=[5000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--augment", nargs="+", default=["none", "color,translation,cutout"])
    args = parser.parse_args()
    photos = folder(args.runs / "photos")
    rows = {place(row): row for row in (json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else [])}
    for seed, steps, augment in itertools.product(args.seeds, args.steps, args.augment):
        out = args.runs / f"{args.model}-{steps}-{augment.replace(',', '-')}-s{seed}"
        settings = {"steps": steps, "precision": "bfloat16", "seed": seed, "augment": augment, **OWN[args.model]}
        run = cf.train(args.model, photos, out=out, resume=out.exists(), **settings)
        score = run.score(real="cifar10", n=10_000, metrics=["fid", "prdc"])
        row = {"model": args.model, **settings}
        row |= {name: score[f"{name}[cifar10-cnn]"].value for name in METRICS}
        rows[place(row)] = row
        print(json.dumps(row), flush=True)
        write_json(RESULTS, {"rows": list(rows.values()), "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
