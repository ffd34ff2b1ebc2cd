"""Train a detector that ships with the package: writes its weights and card.

    python benchmarks/train_detectors.py --data mnist|fashion-mnist|cifar10 [--out FOLDER]

On the CPU, by the recipe of `counterfeit.detectors.training`, where it is said how; here is what makes a file of it.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch

from counterfeit import data
from counterfeit.detectors.small_cnn import FOLDER, Card, SmallCNN
from counterfeit.detectors.training import RECIPES, Recipe, accuracy, epochs, fresh
from counterfeit.runs import provenance
from counterfeit.system.files import write_atomic, write_json


def train(name: str, recipe: Recipe) -> tuple[SmallCNN, float]:
    """The trained network and its test accuracy."""
    sets = {split: data.load(name, split) for split in ("train", "test")}
    tensors = {split: (torch.from_numpy(s.images.copy()), torch.from_numpy(s.labels)) for split, s in sets.items()}
    images, labels = tensors["train"]
    network = fresh(images, len(sets["train"].classes), recipe)
    start = time.perf_counter()
    for epoch, loss in enumerate(epochs(network, images, labels, recipe), 1):
        right, took = accuracy(network, *tensors["test"]), time.perf_counter() - start
        print(f"epoch {epoch:2} loss {loss:.4f} test accuracy {right:.4f} after {took:.0f} s", flush=True)
    return network.eval(), right


def write(network: SmallCNN, right: float, name: str, recipe: Recipe, seconds: float, folder: Path) -> None:
    """The files that ship: NAME.safetensors and its card NAME.json."""
    content = safetensors.torch.save({key: t.contiguous() for key, t in network.state_dict().items()})
    made_by = {**provenance(torch.device("cpu")), "seconds": round(seconds)}
    digest = hashlib.sha256(content).hexdigest()
    card = Card(recipe.name, name, network.of, recipe.settings, right, digest, made_by)
    write_atomic(folder / f"{recipe.name}.safetensors", content)
    write_json(folder / f"{recipe.name}.json", asdict(card))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(RECIPES), required=True)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for NAME.safetensors and NAME.json")
    args = parser.parse_args()
    start = time.perf_counter()
    network, right = train(args.data, RECIPES[args.data])
    write(network, right, args.data, RECIPES[args.data], time.perf_counter() - start, args.out)


if __name__ == "__main__":
    main()
