"""Models of a few weights, each of which asks something of the contract that no named model asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from counterfeit.models import MODELS, ModelSettings, ModelSpec
from counterfeit.models.base import Batch, Losses, Model, Stage, Update, constant
from counterfeit.nets import Shape
from counterfeit.settings import setting
from counterfeit.system.noise import Noise


@dataclass(frozen=True)
class ToySettings(ModelSettings):
    """Settings of a toy."""

    first_epochs: int = setting(2)
    """Epochs of the first of two stages."""


class Toy(Model):
    """Tells images from noise on them, row by row; samples are what it makes of noise. It has no latents."""

    def __init__(self, settings: ToySettings, shape: Shape) -> None:
        super().__init__()
        self.shape, self.settings = shape, settings
        self.net = nn.Linear(shape[0] * shape[1] * shape[2], 6)
        self.back = nn.Linear(6, shape[0] * shape[1] * shape[2])

    def networks(self) -> dict[str, nn.Module]:
        return {"both": self}

    def clean(self, noisy: Tensor) -> Tensor:
        return self.back(self.net(noisy.flatten(1)).tanh()).view(noisy.shape)

    def loss(self, x: Tensor, rng: Noise) -> Tensor:
        return (self.clean(x + rng.normal(*x.shape)) - x).square().mean()

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        loss = self.loss(batches[0].x, rng)
        update("both", loss)
        return {"loss": loss}

    def sample(self, n: int, y: Tensor | None, rng: Noise, options: Any) -> Tensor:
        return self.clean(rng.normal(n, *self.shape)).sigmoid()


class Chunked(Toy):
    """An update for each half of the batch, the second of more weight: rows that change halves change the result."""

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        losses = {}
        for i, part in enumerate(batches[0].x.chunk(2)):
            losses[f"loss{i}"] = (1 + i) * self.loss(part, rng)
            update("both", losses[f"loss{i}"])
        return losses


class ThreeBatches(Toy):
    """Three updates a step, each on images of its own."""

    def stages(self) -> Sequence[Stage]:
        return [Stage(self.step, batches=3)]

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        losses = {}
        for i, (x, _) in enumerate(batches):
            losses[f"loss{i}"] = self.loss(x, rng)
            update("both", losses[f"loss{i}"])
        return losses


class TwoStages(Toy):
    """First the way there and back, then what codes there are: a scale, by images of which a mean is remembered."""

    mean: Tensor

    def __init__(self, settings: ToySettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.prior = nn.Linear(6, 6)
        self.register_buffer("mean", torch.zeros(6))

    def networks(self) -> dict[str, nn.Module]:
        return {"coder": nn.ModuleList([self.net, self.back]), "prior": self.prior}

    def stages(self) -> Sequence[Stage]:
        return [
            Stage(self.of_images, "the coder", epochs=self.settings.first_epochs),
            Stage(self.of_codes, "the prior"),
        ]

    def of_images(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        loss = self.loss(batches[0].x, rng) * (1 - 0.5 * progress)
        update("coder", loss)
        return {"coder": loss}

    def of_codes(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        with constant(self.net):
            codes = self.net(batches[0].x.flatten(1)).tanh()
        loss = (self.prior(codes - self.mean + rng.normal(*codes.shape)) - codes).square().mean()
        update("prior", loss)
        self.mean.lerp_(codes.detach().mean(0), 0.1)  # for the next step: in this one processes have means of their own
        return {"prior": loss}

    def sample(self, n: int, y: Tensor | None, rng: Noise, options: Any) -> Tensor:
        return self.back(self.prior(rng.normal(n, 6))).view(n, *self.shape).sigmoid()


class Sometimes(Toy):
    """A loss that only the first step has, one that only later ones have, one of every other step."""

    steps = 0

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        losses = super().step(batches, update, rng, progress)
        value, self.steps = torch.tensor(float(self.steps)), self.steps + 1
        has = {"first": value == 0, "later": value >= 6, "odd": value % 2 == 1}
        return losses | {name: value for name, there in has.items() if there}


TOYS = (Toy, Chunked, ThreeBatches, TwoStages)


def spec_of(kind: type[Toy], **more: Any) -> ModelSpec[ToySettings]:
    """What is known of a toy; its name is that of its class."""

    def build(settings: ToySettings, shape: Shape, classes: int) -> Model:
        return kind(settings, shape)

    name = kind.__name__.lower()
    return ModelSpec(name, "a toy", ToySettings(), build, paper="none", differs="in all", **more)


@contextmanager
def registered(*specs: ModelSpec[Any]) -> Iterator[None]:
    """Within it, these are models like any other."""
    for spec in specs:
        MODELS.add(spec.name, spec)
    try:
        yield
    finally:
        for spec in specs:
            del MODELS._things[spec.name]
