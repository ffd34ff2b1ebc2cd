"""How a small CNN is trained: the recipes of the detectors that ship, and a fit of any labelled images.

From a seed; the last weights are kept, whatever the accuracy was on the way. Another machine or version of PyTorch
rounds differently and gets other weights of about the same accuracy. Convolutions are computed in bfloat16 while
training, for which many CPUs have instructions; a trained network computes in float32.
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

LARGEST_SIDE = 32  # pixels: the largest that the recipes were made for; larger images reach the network at this size
LEAST_STEPS = 20  # an epoch: with fewer a network is judged by the length of its training, not by its images
LEAST_STD = 0.01  # of the training images' pixels; images that are all alike would else be divided by 0


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

    @property
    def settings(self) -> dict[str, Any]:
        """What is to be said of the training beside the architecture."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "stem", "widths")}

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(f"{self.epochs} epochs in batches of {self.batch_size}: take 1 or more, and 2 or more")


GREY = Recipe("mnist-cnn", stem=(32, 4, 2), widths=(64, 128), epochs=8, turn=10.0)
RECIPES: Registry[Recipe] = Registry("data set")
RECIPES.add("mnist", GREY)
RECIPES.add("fashion-mnist", replace(GREY, name="fashion-cnn", epochs=14, flip=True, turn=0.0))
RECIPES.add("cifar10", Recipe("cifar10-cnn", stem=(16, 3, 1), widths=(48, 64, 128), epochs=22, shift=4, flip=True))


def recipe_for(data: str, channels: int) -> Recipe:
    """That of the data set of this name; for any other images Fashion-MNIST's where they are grey, else CIFAR-10's."""
    for entry in DETECTORS.values():
        if data in entry.data:
            return RECIPES[entry.data[0]]
    return RECIPES["fashion-mnist" if channels == 1 else "cifar10"]


def sized(recipe: Recipe, n: int) -> Recipe:
    """The recipe for n >= 2 images: as many epochs, and of few images smaller batches, so that an epoch has 20 steps.

    Measured on 1,000 and 2,000 real images of MNIST: 0.97 and 0.98 of test images right with batches of 50 and 100,
    0.91 to 0.94 and 0.97 with 250. Batches of fewer than 10 are not made, for batch norm needs some images.
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
    """A network trained on these images and nothing else, ready for inference.

    Args:
        images: uint8 (N, C, H, W), C = 1 or 3, N at least `recipe.batch_size`; may be a memory map.
        labels: integers (N,), 0 to classes - 1.
        classes: how many the network tells apart, those without an image included.
        what: shown on stderr with a bar, where it is not empty.

    Raises:
        InputError: there are fewer images than a batch has.
    """
    x, y = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(labels, np.int64))
    network = fresh(x, classes, recipe).to(device)
    with progress(what, recipe.epochs) if what else nullcontext() as advance:
        for _ in epochs(network, x.to(device), y.to(device), recipe):
            if advance:
                advance(1)
    return network.eval()


def fresh(images: Tensor, classes: int, recipe: Recipe) -> SmallCNN:
    """The network before its first step: its weights depend on the seed and on the images, uint8 (N, C, H, W)."""
    _, channels, h, w = images.shape
    mean, std = moments(images)
    of = Architecture(channels, min(max(h, w), LARGEST_SIDE), recipe.stem, recipe.widths, classes, mean, std)
    with Seeded(recipe.seed):
        network = SmallCNN(of).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    whiten(network, images)
    return network


def epochs(network: SmallCNN, images: Tensor, labels: Tensor, recipe: Recipe) -> Iterator[float]:
    """Train, and give the last batch's loss after each epoch.

    Network, images uint8 (N, C, H, W) and labels int64 (N,) are on one device.
    Raises InputError where there are fewer images than a batch has.
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
    torch.set_flush_denormal(True)  # CPUs take longer for denormal numbers
    try:
        for _ in range(recipe.epochs):
            network.train()
            for x, y in batches(images, labels, recipe, rng):
                loss = _step(network, x, y, recipe, optimizer)
                schedule.step()
            yield loss.item()
    finally:
        torch.set_flush_denormal(False)  # PyTorch's default: the process may go on to other things


def _step(network: SmallCNN, x: Tensor, y: Tensor, recipe: Recipe, optimizer: torch.optim.Optimizer) -> Tensor:
    """One step down the mean loss of a batch; returns that loss."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        with torch.autocast(x.device.type, torch.bfloat16):
            logits = network(network.fitted(x))[1]
        loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
    optimizer.step()
    return loss


@torch.inference_mode()
def predicted(network: SmallCNN, images: Tensor) -> Tensor:
    """Probabilities of the classes, float32 (N, K), for uint8 images (N, C, H, W) on any device; one view each."""
    network.eval()
    device = next(network.parameters()).device
    # On NVIDIA cards convolutions would else be computed in TF32, 1e-3 off, by whatever kernel is quickest today.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        parts = [network(network.fitted(x.to(device)))[1].softmax(1).cpu() for x in images.split(500)]
    return torch.cat(parts)


def accuracy(network: SmallCNN, images: Tensor, labels: Tensor) -> float:
    """Share of images classified rightly, one view each: uint8 (N, C, H, W) and int64 (N,)."""
    return (predicted(network, images).argmax(1) == labels.cpu()).sum().item() / len(images)


def moments(images: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of uint8 pixels as numbers in [0, 1], from their histogram: exact in any number."""
    counts = torch.stack([part.flatten().bincount(minlength=256) for part in images.split(1000)]).sum(0).double()
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * levels).sum() / counts.sum()
    variance = (counts * (levels - mean) ** 2).sum() / (counts.sum() - 1)
    return round(mean.item(), 4), max(round(variance.sqrt().item(), 4), LEAST_STD)


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


def batches(images: Tensor, labels: Tensor, recipe: Recipe, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches; the last partial one is dropped."""
    order = torch.randperm(len(images), generator=rng).to(images.device)
    for i in range(len(images) // recipe.batch_size):
        rows = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
        yield augmented(images[rows], recipe, rng), labels[rows]


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
    rows, columns, each = (t.to(images.device) for t in (rows, columns, torch.arange(b)))
    # indices (B, 1, 1), (B, H, 1), (B, 1, W) around the channels -> (B, H, W, C)
    batch = padded[each[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return turned(batch, recipe.turn, rng) if recipe.turn else batch


def turned(batch: Tensor, most: float, rng: torch.Generator) -> Tensor:
    """Rotate each image by up to `most` degrees and zoom it by up to `most` per cent."""
    angle, zoom = torch.rand(2, len(batch), generator=rng) * 2 - 1
    angle, zoom = angle * most * math.pi / 180, 1 + zoom * most / 100
    cos, sin, zero = angle.cos() * zoom, angle.sin() * zoom, torch.zeros_like(angle)
    matrix = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3).to(batch.device)
    grid = F.affine_grid(matrix, list(batch.shape), align_corners=False)
    return F.grid_sample(batch.float(), grid, align_corners=False)
