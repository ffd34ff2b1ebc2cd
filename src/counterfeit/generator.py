"""What the model of a run draws: sample, encode, decode, interpolate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from counterfeit import latents, sampling
from counterfeit.data import ImageSet
from counterfeit.data.class_names import numbers
from counterfeit.data.shown import Batch
from counterfeit.errors import InputError
from counterfeit.models import MODELS, ModelSettings, Sampling
from counterfeit.models.base import Encodes, HasLatents, Model
from counterfeit.models.build import able
from counterfeit.models.plan import Plan
from counterfeit.runs import DataRecord, RunFolder, Trained, read_trained, samplers
from counterfeit.runs.data import images_of
from counterfeit.samplers import Sampler
from counterfeit.settings import check_count, check_seed
from counterfeit.system.arguments import checked, shown
from counterfeit.system.device import pick_device
from counterfeit.system.isolation import alone
from counterfeit.system.memory import check_room

Labels = int | str | Sequence[int | str] | np.ndarray | None


class Generator:
    """The model in a run folder, and the images that it makes: what `Run` is without what others do with them."""

    def __init__(self, folder: RunFolder, device: str, name: str, out: Path | None = None) -> None:
        """Read run.json. The weights are read on first use. Raises RunError if there is no run or it is damaged.

        Args:
            out: where files that are made of it go by default, in place of its folder.
        """
        self.folder = folder
        self.record = folder.read_record()
        self.path = folder.path
        self.out = out or folder.path
        self.name = name
        self.model_name: str = self.record.model
        self.config: ModelSettings = self.record.config
        self.data: DataRecord = self.record.data
        self.device = device
        self.options: Sampling = MODELS[self.model_name].sampling

    @cached_property
    def sampler(self) -> Sampler | None:
        """What draws the latents of samples in place of the model: fitted on first use, and kept in the folder.

        None where they are the model's own. InputError where the training images are missing; see `fit_sampler`.
        """
        fit = f"with_sampling(sampler={getattr(self.options, 'sampler', '')!r}).fit_sampler(images)"
        return self._sampler_of(lambda: self._images("train", f"fit it in Python: {fit}"))

    @alone
    def _sampler_of(self, images: Callable[[], ImageSet], anew: bool = False) -> Sampler | None:
        asked = self.options.fitted
        return samplers.kept(self.trained, asked, self.name, images, anew) if asked else None

    @cached_property
    @alone
    def trained(self) -> Trained:
        """The model and which weights it has; a run that has been continued since it was opened is taken as it is now.

        Raises RunError where there is no checkpoint, or it cannot be used.
        """
        found = read_trained(self.folder, self.record)
        self.record, self.config, self.data = found.record, found.record.config, found.record.data
        found.model.to(pick_device(self.device)).eval()
        return found

    @property
    def model(self) -> Model:
        """The model with its trained weights, in evaluation mode."""
        return self.trained.model

    @property
    def plan(self) -> Plan:
        """Which of its steps are of which epoch."""
        return self.trained.plan

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights in use, which may be older than those in the folder."""
        return self.trained.sha256

    @property
    def log(self) -> list[dict[str, Any]]:
        """The rows of log.jsonl."""
        return self.folder.read_log()

    @checked
    def sample(self, n: int = 64, *, seed: int = 0, labels: Labels = None) -> np.ndarray:
        """n samples, uint8 (n, C, H, W); sample i depends only on the seed, i and its label.

        Without `labels`, a conditional model draws the classes in turn.
        """
        self._check_room(n, 2 * math.prod(self.data.shape))  # the batches, and the whole that is made of them
        return np.concatenate(list(self.sample_batches(n, seed=seed, labels=labels))).view(Batch)

    @checked
    @alone
    def sample_batches(
        self, n: int, *, seed: int = 0, labels: Labels = None, batch_size: int = 1000
    ) -> Iterator[np.ndarray]:
        """The same images as `sample`, batch by batch, so that a million samples need the memory of one batch."""
        check_count(n, "the number of samples")
        check_count(batch_size, "the batch size")
        check_seed(seed)
        asked = self.labels(n, labels)
        return sampling.samples(self.model, n, seed, asked, batch_size, self.options, sampler=self.sampler)

    @checked
    def labels(self, n: int, labels: Labels = None) -> np.ndarray | None:
        """The labels that `sample` uses for n images: int64 (n,), or None for a model without labels.

        A label is the number or the name of a class. Names come first: "7" is the class named 7 if there is one.
        """
        check_count(n, "the number of labels")
        self._check_room(n, 3 * 8)
        wanted: Any = numbers(self.data.classes, labels) if self.model.classes else labels
        return sampling.labels_for(self.model, n, wanted)

    @checked
    @alone
    def noise(self, n: int, *, seed: int = 0) -> np.ndarray:
        """The n latents that `sample` uses, float32 (n, *latent_shape). InputError if the model has none."""
        check_count(n, "the number of latents")
        check_seed(seed)
        model = self._with_latents()
        self._check_room(n, 2 * 4 * math.prod(model.latent_shape))
        return sampling.noise(model, n, seed, self.sampler)

    @checked
    @alone
    def decode(self, z: np.ndarray, labels: Labels = None) -> np.ndarray:
        """The images of latents (N, *latent_shape), uint8 (N, C, H, W). InputError if the model has none."""
        model = self._with_latents()
        z = latents.checked(np.asarray(z), model.latent_shape)
        return sampling.decode(model, z, self.labels(len(z), labels), self.options).view(Batch)

    @checked
    @alone
    def encode(self, images: np.ndarray, labels: Labels = None) -> np.ndarray:
        """The latents of images; of a VAE, the posterior means. InputError if the model has no encoder."""
        return sampling.encode(self._encoding(), self._checked(images), self._given(len(images), labels))

    @checked
    @alone
    def reconstruct(self, images: np.ndarray, labels: Labels = None) -> np.ndarray:
        """The images after encoding and decoding. InputError if the model has no encoder."""
        found = sampling.reconstruct(self._encoding(), self._checked(images), self._given(len(images), labels))
        return found.view(Batch)

    @checked
    def interpolate(
        self,
        start: np.ndarray,
        end: np.ndarray,
        steps: int = 8,
        labels: Labels = None,
        path: Literal["linear", "spherical"] = "linear",
    ) -> np.ndarray:
        """Images along the paths from latents start to end, each (N, *latent_shape), both ends included.

        Returns uint8 (N, steps, C, H, W); labels are one for all, or one per path. Paths are straight lines, or
        `spherical` ones around the origin, see `latents.arc`. To interpolate between images, encode them first.
        InputError if the model has no latents.
        """
        check_count(steps, "the number of steps", least=2)
        start, end = np.asarray(start), np.asarray(end)
        if (
            start.shape != end.shape
            or start.ndim < 2
            or not len(start)
            or not (latents.is_finite(start) and latents.is_finite(end))
        ):
            raise InputError(
                f"interpolation needs finite latents (N, …) of equal shapes, not {shown(start)} and {shown(end)}"
            )
        self._check_room(len(start) * steps, 2 * math.prod(self.data.shape))
        between = latents.line if path == "linear" else latents.arc
        z = between(start, end, np.linspace(0, 1, steps, dtype=np.float32))  # (N, steps, *latent_shape)
        of_lines = self.labels(len(z), labels)
        images = self.decode(z.reshape(-1, *z.shape[2:]), None if of_lines is None else of_lines.repeat(steps))
        return images.reshape(len(z), steps, *images.shape[1:])

    def _images(self, split: str, fix: str) -> ImageSet:
        if self.data.kind == "array":
            raise InputError(f"{self.name} was trained on an array, which a run does not store: {fix}")
        found = images_of(self.record, self.name, fix=f"restore it, or {fix}")
        if split not in found:
            raise InputError(f"{self.data.name} has no {split} images: pass --split {' or --split '.join(found)}")
        return found[split]

    def _check_room(self, n: int, size: int) -> None:
        """InputError where n things of `size` bytes are more than the memory."""
        check_room(n * size, f"{n:,} of them at once", "take fewer, or sample_batches, which holds one batch at a time")

    def _encoding(self) -> Encodes:
        if not isinstance(self.model, Encodes):
            raise InputError(f"{self.model_name} has no encoder: {able(Encodes)} can encode and reconstruct")
        return self.model

    def _with_latents(self) -> HasLatents:
        if not isinstance(self.model, HasLatents):
            raise InputError(f"{self.model_name} has no latents that decide its images: use {able(HasLatents)}")
        return self.model

    def _checked(self, images: np.ndarray) -> np.ndarray:
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.data.shape or not len(images):
            raise InputError(
                f"images must be uint8 (N, {', '.join(map(str, self.data.shape))}), not {images.dtype} {images.shape}"
            )
        return images

    def _given(self, n: int, labels: Labels) -> np.ndarray | None:
        """Images that are encoded have labels of their own: there is nothing to take in turn."""
        if self.model.classes and labels is None:
            raise InputError(f"{self.model_name} needs the images' labels: pass labels=")
        return self.labels(n, labels)
