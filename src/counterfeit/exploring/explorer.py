"""A run's latent space: images of latents at once, directions to follow, means of classes, nearest training images."""

from __future__ import annotations

import copy
import math
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from counterfeit import latents, sampling
from counterfeit.data import ImageSet
from counterfeit.data.pixels import to_uint8
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.exploring.neighbors import Nearest, Neighbors
from counterfeit.latents import Directions
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.models.build import able
from counterfeit.run import Labels, Run
from counterfeit.runs.data import to_encode
from counterfeit.settings import check_count, check_seed
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone

MOST_CODES = 10_000  # training images that are encoded
DRAWS = 1280  # latents that are drawn, to know their center and their spread
POINTS = 8  # at which it is measured how images change
MOST_NUMBERS = 1024  # of a latent, for the strongest directions: for each, two images are made at every point
MOST_KNOWN = 8  # sets of directions that are kept
STEP = 0.05  # standard deviations of the latents, half the width of a difference

Kind = Literal["random", "principal", "strongest"]


class Explorer:
    """A run, and what is found out about its latents: each thing on first use, and kept.

    Attributes:
        run: the run.
    """

    @checked
    def __init__(self, run: Run) -> None:
        self.run = run
        self._known: dict[tuple[str, int, int], Directions] = {}

    @checked
    def with_sampling(self, **options: Any) -> Explorer:
        """The same, with other options of sampling; see `Run.with_sampling`."""
        other = copy.copy(self)
        other.run, other._known = self.run.with_sampling(**options), {}
        other.__dict__.pop("spread", None)
        return other

    @property
    def model(self) -> HasLatents:
        """The model. InputError if it has no latents."""
        if not isinstance(self.run.model, HasLatents):
            raise InputError(f"{self.run.model_name} has no latents that decide its images: use {able(HasLatents)}")
        return self.run.model

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of directions that there are, the most telling first; none without latents."""
        model = self.run.model
        if not isinstance(model, HasLatents):
            return []
        found: list[Kind] = ["random"]
        if _few(model.latent_shape):
            found.insert(0, "strongest")
        if isinstance(model, Encodes) and self.run.data.kind != "array":
            found.insert(0, "principal")
        return found

    @property
    def nbytes(self) -> int:
        """About the memory that the model takes, and what was found out so far."""
        weights = [*self.run.model.parameters(), *self.run.model.buffers()]
        known = self.__dict__
        arrays = [known.get("spread"), known.get("_encoded", (None,))[0]]
        if "_neighbors" in known:
            arrays += [known["_neighbors"].features, known["_neighbors"].train.images]
        return 4 * sum(one.numel() for one in weights) + sum(one.nbytes for one in arrays if one is not None)

    @cached_property
    def train(self) -> ImageSet:
        """The training images. InputError where they are missing."""
        return self.run.real("train")

    @checked
    @alone
    def decode(self, z: np.ndarray, labels: Labels = None) -> np.ndarray:
        """`Run.decode` of a few latents in less time, by which some pixels may differ by one of their 256 levels.

        `Run.decode` makes a block of 128 images in any case, as the last bit of a float depends on how many they are.
        """
        z = latents.checked(np.asarray(z), self.model.latent_shape)
        return to_uint8(self._images(z, self.run.labels(len(z), labels))).numpy()

    @checked
    @alone
    def directions(self, kind: Kind = "principal", n: int = 10, *, seed: int = 0) -> Directions:
        """At most n orthogonal directions of latents, and how far latents spread along each.

        Args:
            kind: `random` ones; the `principal` components of the codes of training images; or the `strongest`, in
                which images change the most, see `latents.strongest`.
            n: how many.
            seed: of the random ones.

        Raises:
            InputError: the model has no latents, or too large ones, or for `principal` no encoder that gives them.
        """
        check_count(n, "the number of directions")
        check_seed(seed)
        key = (kind, n if kind == "random" else 0, seed if kind == "random" else 0)
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[key] = self._found(kind, n, seed)
        whole = self._known[key]
        return Directions(whole.center, whole.axes[:n], whole.scales[:n])

    def _found(self, kind: Kind, n: int, seed: int) -> Directions:
        """Directions that take a while to find: n random ones, or all of another kind."""
        if kind == "random":
            return latents.random(self.spread, n, seed)
        if kind == "principal":
            return latents.principal(self._encoded[0], math.prod(self.model.latent_shape))
        return self._strongest()

    @checked
    @alone
    def class_means(self) -> np.ndarray:
        """The mean code of every class of the training images, float32 (K, *latent_shape).

        InputError without an encoder that gives latents, or without labels.
        """
        codes, labels = self._encoded
        if labels is None:
            raise InputError(f"{self.run.data.name} has no labels, so there are no means of classes")
        if len(np.unique(labels)) < len(self.run.data.classes):
            raise InputError(f"{self.run.data.name} has classes without training images, which have no mean")
        return np.stack([codes[labels == k].mean(axis=0) for k in range(len(self.run.data.classes))])

    @checked
    @alone
    def nearest(self, images: np.ndarray, k: int = 8) -> Nearest:
        """The k training images nearest to each image, uint8 (N, C, H, W): their rows, and the distances."""
        check_count(k, "the number of neighbors")
        return self._neighbors.nearest(np.asarray(images), k)

    @cached_property
    def spread(self) -> np.ndarray:
        """Latents as samples have them, float32 (DRAWS, *latent_shape)."""
        return self.run.noise(DRAWS)

    @cached_property
    def _neighbors(self) -> Neighbors:
        return Neighbors(self.train, self.run.device)

    @cached_property
    def _encoded(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Codes of training images, float32 (N, *latent_shape), and the labels of these."""
        if not isinstance(self.model, Encodes):
            raise InputError(f"{self.run.model_name} has no encoder: take the strongest or random directions")
        rows, pixels = to_encode(self.train, self.run.config, MOST_CODES)
        labels = None if self.train.labels is None else self.train.labels[rows]
        return self.run.encode(take(pixels, rows), labels if self.run.model.classes else None), labels

    def _strongest(self) -> Directions:
        shape = self.model.latent_shape
        if not _few(shape):
            raise InputError(
                f"{self.run.model_name} has latents of {math.prod(shape):,} numbers, which are too many to try each: "
                "take random directions"
            )
        labels = self.run.labels(POINTS)

        def decode(z: np.ndarray, point: int) -> np.ndarray:
            return self._images(z, None if labels is None else labels[[point]].repeat(len(z))).numpy()

        step = STEP * float(self.spread.std(axis=0).mean())
        return latents.strongest(decode, self.run.noise(POINTS), step, self.spread, math.prod(shape))

    @torch.inference_mode()
    def _images(self, z: np.ndarray, labels: np.ndarray | None) -> Tensor:
        """Latents (N, *latent_shape), labels (N,) or None -> float32 (N, C, H, W) in [0, 1], on the CPU."""
        device, found = sampling.device_of(self.model), []
        for start in range(0, len(z), sampling.BLOCK):
            part = slice(start, start + sampling.BLOCK)
            y = None if labels is None else torch.from_numpy(labels[part]).to(device)
            some = torch.as_tensor(z[part], dtype=torch.float32).to(device)
            found.append(self.model.decode(some, y, self.run.options).cpu())
        return torch.cat(found)


def _few(shape: tuple[int, ...]) -> bool:
    """Whether images can be made for a step in each number of a latent; one that is an image itself has too many."""
    return len(shape) == 1 and shape[0] <= MOST_NUMBERS
