"""What models have in common whose network sees an image in noise, at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterfeit.errors import InputError
from counterfeit.models.base import Batch, LatentModel, Losses, Update
from counterfeit.models.diffusion import GuidedSampling
from counterfeit.nets import Shape
from counterfeit.system.noise import Noise


class DiffusionModel(LatentModel):
    """A network that learns a mean by a squared error, and noise that it carries to images. It has `HasTerms`.

    The noise has the shape of an image, and is the latent: the same noise gives the same image.

    Attributes:
        part: the network's name among the model's networks.
    """

    part = "network"

    def __init__(self, net: nn.Module, shape: Shape, classes: int = 0, label_dropout: float = 0.0) -> None:
        """`net` maps images (B, C, H, W), times (B,), and labels (B,) or None to (B, C, H, W); the label K is none."""
        super().__init__(shape, classes)
        self.net, self.label_dropout = net, label_dropout

    def networks(self) -> dict[str, nn.Module]:
        return {self.part: self.net}

    @abstractmethod
    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        """See `HasTerms.terms`."""

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, y),) = batches
        loss = self.terms(x, self.with_some_hidden(y, rng), rng)["error"].mean()
        update(self.part, loss)
        return {"loss": loss}

    def with_some_hidden(self, y: Tensor | None, rng: Noise) -> Tensor | None:
        """The labels (B,), some of which are none: Ho & Salimans 2022 (arXiv:2207.12598), algorithm 1."""
        if y is None or not self.label_dropout:
            return y
        return torch.where(rng.uniform(len(y)) < self.label_dropout, self.classes, y)

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.normal(n, *self.latent_shape)

    def predicted(self, x: Tensor, t: float, y: Tensor | None, options: Any) -> Tensor:
        """What the network says of images that are all at one time, with the guidance of the options.

        Ho & Salimans 2022, eq. 6, whose w is the scale here minus 1: (1 - s) net(x) + s net(x, y).
        """
        times = x.new_full((len(x),), t)
        scale = options.guidance if isinstance(options, GuidedSampling) else 1.0
        if y is None or scale == 1:
            return self.net(x, times, y)
        if not self.label_dropout:
            raise InputError(f"--guidance {scale:g} needs a model that was trained with a --label-dropout above 0")
        without = self.net(x, times, torch.full_like(y, self.classes))
        return without.lerp(self.net(x, times, y), scale) if scale else without
