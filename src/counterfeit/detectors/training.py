"""Training of small CNNs: the recipes of the shipped detectors, and `fit` for any labeled images.

Training starts from a seed and keeps the last weights, whatever the accuracy was in between. Another machine or version
of PyTorch rounds differently and ends with different weights of about the same accuracy. During training convolutions
are computed in bfloat16, for which many CPUs have instructions; a trained network computes in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from counterfeit.detectors.entry import DETECTORS
from counterfeit.detectors.small_cnn import Architecture, SmallCNN
from counterfeit.errors import InputError
from counterfeit.nets.initial import Seeded
from counterfeit.registry import Registry
from counterfeit.system.console import progress

LARGEST_SIDE = 32  # pixels: the largest that the recipes were made for; larger images are resized to this
LEAST_STEPS = 20  # per epoch: with fewer, the score would depend on the length of the training and not on the images
LEAST_STD = 0.01  # of the training images' pixels; avoids a division by 0 if all pixels are equal


@dataclass(frozen=True)
class Recipe:
    """How to train one network: SGD with Nesterov momentum 0.9; the rate rises, then falls to 0, both linearly."""

    name: str
    stem: tuple[int, int, int]
    widths: tuple[int, ...]
    epochs: int
    peak_lr: float = 0.1
    """Peak learning rate, for the mean loss of a batch."""
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    shift: int = 2
    """Largest random shift in each direction, pixels; the border is reflected."""
    flip: bool = False
    """Mirror each image with probability 1/2."""
    turn: float = 0.0
    """Largest random rotation, degrees; also the largest zoom, percent."""
    batch_size: int = 250
    warm_up: float = 0.2
    """Share of the steps during which the learning rate rises."""
    seed: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the training, without the name and the architecture."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "stem", "widths")}

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(f"{self.epochs} epochs in batches of {self.batch_size}: take 1 or more, and 2 or more")


GRAY = Recipe("mnist-cnn", stem=(32, 4, 2), widths=(64, 128), epochs=8, turn=10.0)
RECIPES: Registry[Recipe] = Registry("data set")
RECIPES.add("mnist", GRAY)
RECIPES.add("fashion-mnist", replace(GRAY, name="fashion-cnn", epochs=14, flip=True, turn=0.0))
RECIPES.add("cifar10", Recipe("cifar10-cnn", stem=(16, 3, 1), widths=(48, 64, 128), epochs=22, shift=4, flip=True))


def recipe_for(data: str, channels: int) -> Recipe:
    """The recipe for this data set; for other images, Fashion-MNIST's if they are grayscale, otherwise CIFAR-10's."""
    for entry in DETECTORS.values():
        if data in entry.data:
            return RECIPES[entry.data[0]]
    return RECIPES["fashion-mnist" if channels == 1 else "cifar10"]


def sized(recipe: Recipe, n: int) -> Recipe:
    """Adapt the recipe to n >= 2 images: the same epochs, but smaller batches if needed for 20 steps per epoch.

    Measured on 1,000 and 2,000 real MNIST images: test accuracy is 0.97 and 0.98 with batches of 50 and 100, but 0.91
    to 0.94 and 0.97 with batches of 250. Batches are never smaller than 10 (unless n is), since batch norm needs some
    images.
    """
    return replace(recipe, batch_size=min(recipe.batch_size, max(n // LEAST_STEPS, 10), n))


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    recipe: Recipe,
    device: torch.device | str = "cpu",
    what: str = "",
) -> SmallCNN:
    """Train a network on these images only; return it ready for inference.

    Args:
        images: uint8 (N, C, H, W), C = 1 or 3, N at least `recipe.batch_size`; may be a memory map.
        labels: integers (N,), 0 to classes - 1.
        classes: number of classes that the network distinguishes, including those without an image.
        what: label of a progress bar on stderr; no bar if empty.

    Raises:
        InputError: there are fewer images than one batch needs.
    """
    x, y = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(labels, np.int64))
    network = fresh(x, classes, recipe).to(device)
    with progress(what, recipe.epochs) if what else nullcontext() as advance:
        for _ in epochs(network, x.to(device), y.to(device), recipe):
            if advance:
                advance(1)
    return network.eval()


def fresh(images: Tensor, classes: int, recipe: Recipe) -> SmallCNN:
    """The network before its first step; its weights depend on the seed and on the images, uint8 (N, C, H, W)."""
    _, channels, h, w = images.shape
    mean, std = moments(images)
    of = Architecture(channels, min(max(h, w), LARGEST_SIDE), recipe.stem, recipe.widths, classes, mean, std)
    with Seeded(recipe.seed):
        network = SmallCNN(of).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    whiten(network, images)
    return network


def epochs(network: SmallCNN, images: Tensor, labels: Tensor, recipe: Recipe) -> Iterator[float]:
    """Train, and yield the loss of the last batch after each epoch.

    Network, images uint8 (N, C, H, W) and labels int64 (N,) are on one device. Raises InputError if there are fewer
    images than one batch needs.
    """
    if len(images) < recipe.batch_size:
        raise InputError(f"{len(images)} images are fewer than one batch of {recipe.batch_size}: choose a smaller one")
    rng = torch.Generator().manual_seed(recipe.seed)
    steps = recipe.epochs * (len(images) // recipe.batch_size)
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.peak_lr, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    top = recipe.warm_up * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / top, (steps - i) / (steps - top)))
    torch.set_flush_denormal(True)  # CPUs are slow on denormal numbers
    try:
        for _ in range(recipe.epochs):
            network.train()
            for x, y in batches(images, labels, recipe, rng):
                loss = _step(network, x, y, recipe, optimizer)
                schedule.step()
            yield loss.item()
    finally:
        torch.set_flush_denormal(False)  # PyTorch's default: restore it for the rest of the process


def _step(network: SmallCNN, x: Tensor, y: Tensor, recipe: Recipe, optimizer: torch.optim.Optimizer) -> Tensor:
    """Take one step on the mean loss of a batch; return that loss."""
    with torch.autocast(x.device.type, torch.bfloat16):
        logits = network(network.fitted(x))[1]
    loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@torch.inference_mode()
def predicted(network: SmallCNN, images: Tensor) -> Tensor:
    """Class probabilities float32 (N, K) of uint8 images (N, C, H, W) on any device, without test-time augmentation."""
    network.eval()
    device = next(network.parameters()).device
    parts = [network(network.fitted(x.to(device)))[1].softmax(1).cpu() for x in images.split(500)]
    return torch.cat(parts)


def accuracy(network: SmallCNN, images: Tensor, labels: Tensor) -> float:
    """Share of images classified correctly; images are uint8 (N, C, H, W), labels int64 (N,)."""
    return (predicted(network, images).argmax(1) == labels.cpu()).sum().item() / len(images)


def moments(images: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of uint8 pixels scaled to [0, 1], from their histogram: exact for any number."""
    counts = torch.stack([part.flatten().bincount(minlength=256) for part in images.split(1000)]).sum(0).double()
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * levels).sum() / counts.sum()
    variance = (counts * (levels - mean) ** 2).sum() / (counts.sum() - 1)
    return round(mean.item(), 4), max(round(variance.sqrt().item(), 4), LEAST_STD)


def whiten(network: SmallCNN, images: Tensor) -> None:
    """Initialize the stem with the principal components of the images' patches, each with both signs.

    Batch norm then gives every component variance 1: whitened patches, on which networks learn faster (Jordan 2024,
    arXiv:2404.00498).
    """
    weight = network.stem.conv.weight  # (out, c, k, k)
    size = weight.shape[2]
    patches = F.unfold(images[:2000].float() / 255, size)  # (B, c*k*k, places)
    flat = patches.transpose(1, 2).reshape(-1, patches.shape[1])
    vectors = torch.linalg.eigh(torch.cov(flat.T)).eigenvectors.T.flip(0)[: len(weight) // 2]
    with torch.no_grad():
        weight.copy_(torch.cat([vectors, -vectors]).view_as(weight))


def batches(images: Tensor, labels: Tensor, recipe: Recipe, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of augmented batches; the last partial batch is dropped."""
    order = torch.randperm(len(images), generator=rng).to(images.device)
    for i in range(len(images) // recipe.batch_size):
        rows = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
        yield augmented(images[rows], recipe, rng), labels[rows]


def augmented(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Shift, mirror and rotate a batch: uint8 (B, C, H, W) -> the same shape (float if rotated)."""
    b, _, h, w = images.shape
    s = recipe.shift
    padded = F.pad(images.float(), (s, s, s, s), mode="reflect").to(torch.uint8)
    top, left = torch.randint(0, 2 * s + 1, (2, b, 1), generator=rng)
    rows, columns = top + torch.arange(h), left + torch.arange(w)
    if recipe.flip:
        mirrored = torch.rand(b, 1, generator=rng) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns, each = (t.to(images.device) for t in (rows, columns, torch.arange(b)))
    # indices (B, 1, 1), (B, H, 1), (B, 1, W) around the channels -> (B, H, W, C)
    batch = padded[each[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return turned(batch, recipe.turn, rng) if recipe.turn else batch


def turned(batch: Tensor, most: float, rng: torch.Generator) -> Tensor:
    """Rotate each image by up to `most` degrees and zoom it by up to `most` percent."""
    angle, zoom = torch.rand(2, len(batch), generator=rng) * 2 - 1
    angle, zoom = angle * most * math.pi / 180, 1 + zoom * most / 100
    cos, sin, zero = angle.cos() * zoom, angle.sin() * zoom, torch.zeros_like(angle)
    matrix = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3).to(batch.device)
    grid = F.affine_grid(matrix, list(batch.shape), align_corners=False)
    return F.grid_sample(batch.float(), grid, align_corners=False)
