"""Train a detector that ships with the package: writes its weights and card.

    python benchmarks/train_detectors.py --data mnist|fashion-mnist|cifar10 [--out FOLDER]

On the CPU, from a seed; the last weights are kept, whatever the test accuracy was on the way. Another machine or
version of PyTorch rounds differently and gets other weights of about the same accuracy. Convolutions are computed in
bfloat16 while training, for which many CPUs have instructions; a detector computes in float32.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from counterfeit import data
from counterfeit.detectors.small_cnn import FOLDER, Architecture, Card, SmallCNN
from counterfeit.files import write_atomic, write_json
from counterfeit.registry import Registry
from counterfeit.runs import provenance


@dataclass(frozen=True)
class Recipe:
    """How one network is trained. SGD with Nesterov momentum 0.9; the rate rises and falls linearly, to 0."""

    name: str
    stem: tuple[int, int, int]
    widths: tuple[int, ...]
    epochs: int
    peak_lr: float = 0.1
    """For the mean loss of a batch."""
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    shift: int = 2
    """Random shift in each direction, at most, pixels; the border is reflected."""
    flip: bool = False
    """Mirror every other image."""
    turn: float = 0.0
    """Random rotation at most, degrees; zoom by as many per cent."""
    batch_size: int = 250
    warm_up: float = 0.2
    """Share of the steps in which the rate rises."""
    seed: int = 0


RECIPES: Registry[Recipe] = Registry("data set")
GREY = {"stem": (32, 4, 2), "widths": (64, 128)}
RECIPES.add("mnist", Recipe("mnist-cnn", **GREY, epochs=8, turn=10.0))
RECIPES.add("fashion-mnist", Recipe("fashion-cnn", **GREY, epochs=14, flip=True))
RECIPES.add("cifar10", Recipe("cifar10-cnn", stem=(16, 3, 1), widths=(48, 64, 128), epochs=22, shift=4, flip=True))


def whiten(network: SmallCNN, images: Tensor) -> None:
    """Start the stem at the principal components of the images' patches, each with both signs.

    Batch norm then gives every component variance 1: whitened patches, on which nets learn faster
    (Jordan 2024, arXiv:2404.00498).
    """
    weight = network.stem.conv.weight  # (out, c, k, k)
    size = weight.shape[2]
    patches = F.unfold(images[:2000].float() / 255, size)  # (B, c*k*k, places)
    flat = patches.transpose(1, 2).reshape(-1, patches.shape[1])
    vectors = torch.linalg.eigh(torch.cov(flat.T)).eigenvectors.T.flip(0)[: len(weight) // 2]
    with torch.no_grad():
        weight.copy_(torch.cat([vectors, -vectors]).view_as(weight))


def augmented(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Shift, mirror and turn a batch: uint8 (B, C, H, W) -> the same (float where it is turned)."""
    b, _, h, w = images.shape
    s = recipe.shift
    padded = F.pad(images.float(), (s, s, s, s), mode="reflect").to(torch.uint8)
    top, left = torch.randint(0, 2 * s + 1, (2, b, 1), generator=rng)
    rows, columns = top + torch.arange(h), left + torch.arange(w)
    if recipe.flip:
        mirrored = torch.rand(b, 1, generator=rng) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    # indices (B, 1, 1), (B, H, 1), (B, 1, W) around the channels -> (B, H, W, C)
    batch = padded[torch.arange(b)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return turned(batch, recipe.turn, rng) if recipe.turn else batch


def turned(batch: Tensor, most: float, rng: torch.Generator) -> Tensor:
    """Rotate each image by up to `most` degrees and zoom it by up to `most` per cent."""
    angle, zoom = torch.rand(2, len(batch), generator=rng) * 2 - 1
    angle, zoom = angle * most * math.pi / 180, 1 + zoom * most / 100
    cos, sin, zero = angle.cos() * zoom, angle.sin() * zoom, torch.zeros_like(angle)
    matrix = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(batch.shape), align_corners=False)
    return F.grid_sample(batch.float(), grid, align_corners=False)


def batches(images: Tensor, labels: Tensor, recipe: Recipe, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches; the last partial one is dropped."""
    order = torch.randperm(len(images), generator=rng)
    for i in range(len(images) // recipe.batch_size):
        rows = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
        yield augmented(images[rows], recipe, rng), labels[rows]


@torch.inference_mode()
def accuracy(network: SmallCNN, images: Tensor, labels: Tensor) -> float:
    """Share of images classified rightly, one view each."""
    network.eval()
    parts = zip(images.split(500), labels.split(500), strict=True)
    right = sum((network(network.fitted(x))[1].argmax(1) == y).sum().item() for x, y in parts)
    return right / len(images)


def train(name: str, recipe: Recipe) -> tuple[SmallCNN, float]:
    """The trained network and its test accuracy."""
    torch.manual_seed(recipe.seed)
    torch.set_flush_denormal(True)
    rng = torch.Generator().manual_seed(recipe.seed)
    sets = {split: data.load(name, split) for split in ("train", "test")}
    tensors = {split: (torch.from_numpy(s.images.copy()), torch.from_numpy(s.labels)) for split, s in sets.items()}
    images, labels = tensors["train"]
    pixels = images.float() / 255
    channels, side, _ = sets["train"].shape
    mean, std = round(pixels.mean().item(), 4), round(pixels.std().item(), 4)
    of = Architecture(channels, side, recipe.stem, recipe.widths, len(sets["train"].classes), mean, std)
    network = SmallCNN(of).to(memory_format=torch.channels_last)
    whiten(network, images)
    steps = recipe.epochs * (len(images) // recipe.batch_size)
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.peak_lr, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    top = recipe.warm_up * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: min((i + 1) / top, (steps - i) / (steps - top)))
    start = time.perf_counter()
    for epoch in range(recipe.epochs):
        network.train()
        for x, y in batches(images, labels, recipe, rng):
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(network.fitted(x))[1]
            loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        right, took = accuracy(network, *tensors["test"]), time.perf_counter() - start
        print(f"epoch {epoch + 1:2} loss {loss.item():.4f} test accuracy {right:.4f} after {took:.0f} s", flush=True)
    return network.eval(), right


def write(network: SmallCNN, right: float, name: str, recipe: Recipe, seconds: float, folder: Path) -> None:
    """The files that ship: NAME.safetensors and its card NAME.json."""
    content = safetensors.torch.save({key: t.contiguous() for key, t in network.state_dict().items()})
    settings = {key: value for key, value in asdict(recipe).items() if key not in ("name", "stem", "widths")}
    made_by = {**provenance(torch.device("cpu")), "seconds": round(seconds)}
    digest = hashlib.sha256(content).hexdigest()
    card = Card(recipe.name, name, network.of, settings, right, digest, made_by)
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
