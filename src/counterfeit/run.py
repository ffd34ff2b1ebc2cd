"""A trained run: sample, encode, decode, interpolate, score."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from counterfeit import data as datasets
from counterfeit import exporting, hub, latents, sampling
from counterfeit.data import NATIVE, ImageSet, binarize
from counterfeit.data.class_names import numbers
from counterfeit.data.form import form_at
from counterfeit.data.place import locate
from counterfeit.data.shown import Batch
from counterfeit.errors import InputError, RunError
from counterfeit.models import MODELS, ModelSettings, Sampling
from counterfeit.models.base import Encodes, HasLatents, Model
from counterfeit.models.build import able, conditional
from counterfeit.models.plan import Plan
from counterfeit.runs import DataRecord, RunFolder, Trained, read_trained, samplers
from counterfeit.runs.data import images_of
from counterfeit.samplers import Sampler
from counterfeit.scoring import Images, Score, Scorer, judge
from counterfeit.scoring.cas import Labeled, cas
from counterfeit.scoring.classes import Classes
from counterfeit.scoring.images import BATCH, subset
from counterfeit.scoring.likelihood import Likelihood, bounded, likelihood
from counterfeit.scoring.receipt import DRAWING, file_name, made_here, of_code, of_set
from counterfeit.settings import ScoreConfig, check_count, check_seed
from counterfeit.system.arguments import checked, shown
from counterfeit.system.console import say
from counterfeit.system.device import pick_device
from counterfeit.system.distributed import Group
from counterfeit.system.isolation import alone
from counterfeit.system.memory import check_room

if TYPE_CHECKING:
    from counterfeit.system.drawing import Figure

MOST_COLUMNS = 20  # of a figure: with more, images are no longer seen
Labels = int | str | Sequence[int | str] | np.ndarray | None
Measured = TypeVar("Measured", Score, Likelihood)


class Run:
    """A trained model, opened from its run folder.

    Images are uint8 (N, C, H, W) numpy arrays; latents float32 (N, *latent_shape), which is (N, Z) of most models;
    labels class numbers or names, one for all images or one per image. The weights are those of the last checkpoint,
    or with `--keep best` of the best epoch: the moving average if the run has one (`--ema`).

    Attributes:
        path: the run folder.
        name: its name in receipts and comparisons: the folder, or for a local copy the original location.
        device: the requested device.
        record: the contents of run.json; model_name, config and data are parts of it.
        options: the model's options of sampling, see `with_sampling`.
    """

    @checked
    def __init__(self, path: str | Path, device: str = "auto", name: str | None = None) -> None:
        """Read run.json. The weights are read on first use. Raises RunError if there is no run or it is damaged.

        A path hf://owner/name, or hf://owner/name@revision, is a run on the Hugging Face hub, which is fetched.
        """
        if hub.is_address(path):
            name, path = name or str(path), hub.fetched(str(path))
        self.folder = RunFolder(path)
        self.record = self.folder.read_record()
        self.path = self.folder.path
        self.name = name or str(self.folder)
        self.model_name: str = self.record.model
        self.config: ModelSettings = self.record.config
        self.data: DataRecord = self.record.data
        self.device = device
        self.options: Sampling = MODELS[self.model_name].sampling

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.model_name} on {self.data.name}, seed {self.config.seed})"

    # matplotlib is imported where it is asked for: most commands do without it.

    def _repr_html_(self) -> str:
        from counterfeit.display.run import card

        return str(card(self.folder, self.folder.read_record()))

    def plot(self) -> Figure:
        """A matplotlib figure of the losses over the steps and the scores over the epochs, as in curves.png.

        Raises RunError if the log cannot be read.
        """
        from counterfeit.display.run import figure

        return figure(self.folder, self.record)

    def show(self, n: int = 64, *, seed: int = 0, labels: Labels = None) -> Figure:
        """A matplotlib figure of n samples, those of `sample`; without `labels`, each column is of one class."""
        from counterfeit.display.images import figure

        images, by = self.sample(n, seed=seed, labels=labels), self.model.classes
        in_turn = labels is None and 0 < by <= MOST_COLUMNS
        columns = by * max(1, round(math.sqrt(n) / by)) if in_turn else None
        return figure(images, f"{self.model_name} on {self.data.name}, samples of seed {seed}", columns)

    @checked
    def with_sampling(self, **options: Any) -> Run:
        """The same run, whose images are made with other options of sampling; those not given stay as they are.

        Which these are, `counterfeit sample RUN --help` shows, such as `steps` of a flow. Scores of such images have
        them in their receipts. Raises InputError if the model has no such option, or a value is wrong.
        """
        other = copy.copy(self)
        other.options = MODELS[self.model_name].sampling_with(options, self.options)
        other.__dict__.pop("sampler", None)
        return other

    @cached_property
    def sampler(self) -> Sampler | None:
        """What draws the latents of samples in place of the model: fitted on first use, and kept in the folder.

        None where they are the model's own. InputError where the training images are missing; see `fit_sampler`.
        """
        fit = f"with_sampling(sampler={getattr(self.options, 'sampler', '')!r}).fit_sampler(images)"
        return self._sampler_of(lambda: self._images("train", f"fit it in Python: {fit}"))

    @checked
    @alone
    def fit_sampler(self, images: Any, labels: Any = None) -> Run:
        """Fit the sampler that `with_sampling` asks for, and keep it in the folder; returns the run.

        For a run that was trained on an array, which its folder does not hold; others find their images. InputError if
        these are not the training images, or if no sampler to be fitted was asked for.
        """
        if not self.options.fitted:
            raise InputError("there is nothing to fit: ask for a sampler first, with_sampling(sampler='gmm')")
        given = datasets.load(images, labels=labels)
        found = images_of(self.record, self.name, given, "pass its training images")
        self.sampler = self._sampler_of(lambda: found["train"], anew=True)
        return self

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

    @checked
    @alone
    def export(self, to: Literal["onnx", "pt2", "web"] = "onnx", out: str | Path | None = None) -> Path:
        """Write the generator as a file that makes this run's images without us, and return its path.

        It is checked before: on 256 images, no pixel may differ from ours by more than one level of 255.

        Args:
            to: `onnx`; `pt2`, a program of torch.export; or `web`, a folder with a page that runs it in a browser.
            out: the file, or the new folder; by default in the run's folder `exports`. Beside a file, an .npz with the
                first latents (and labels) of seed 0 and their images is written.

        Raises:
            InputError: its images are no function of latents, as those of a VQ-VAE, or a package is missing.
            RunError: `out` cannot be written, or the file makes other images.
        """
        return exporting.export(self, to, out)

    @checked
    @alone
    def push(
        self,
        repository: str,
        *,
        license: str = "unknown",
        private: bool = False,
        message: str | None = None,
        dry_run: bool = False,
    ) -> hub.Pushed:
        """Push the run to the Hugging Face hub, with a model card of its settings, scores and samples.

        Args:
            repository: owner/name, which is made if it is not there, or owner/name@branch.
            license: of the weights, as the hub writes it, such as mit.
            private: whether a repository that is made is one.
            message: of the commit.
            dry_run: send nothing; the result says what would go.

        Raises:
            InputError: the name cannot be one, or huggingface_hub is missing.
            RunError: the hub cannot be reached or refuses, the repository holds something else than a run, or another
                process is training this one.
        """
        return hub.push(self, repository, license=license, private=private, message=message, dry_run=dry_run)

    @checked
    @alone
    def score(self, real: Any = None, *, scorer: Scorer | None = None, **settings: Any) -> Score:
        """Score samples of this run and save the score in its scores folder; see `counterfeit.score`.

        `scorer`, from `judge.prepared`, avoids computing the features of the real images again for every run.
        """
        config = ScoreConfig.of({"real": real, **settings})
        scorer = scorer or judge.prepared(config, self.record, self.name)
        if self.options.fitted:  # the same one for all processes
            self.sampler = scorer.group.by_first(lambda: self.sampler)
        fakes = scorer.group.everyone(self.generated)
        self._check_same(scorer.group)
        result = judge.score(fakes, config, self.record, scorer)
        return scorer.group.by_first(partial(self._store, result, result.receipt["detector"]["name"]))

    @checked
    @alone
    def cas(self, real: Any = None, n: int = 10_000, **settings: Any) -> Score:
        """Classification Accuracy Score of this run, also saved in its scores folder; see `counterfeit.cas`."""
        config = ScoreConfig.of({"device": self.device, "real": real, "n": n, **settings})
        if not self.model.classes:
            raise InputError(
                f"{self.path} is a run of {self.model_name}, whose images have no labels: use {conditional()}"
            )
        sets = judge.real_images(config, self.record, self.name)
        test, train, _ = judge.real_sides(sets, config.size, self.data.shape)
        images = self.generated().at_size(config.size)
        assert images.shape is not None and images.known is not None
        fakes = Labeled(images, images.known.labels, images.known.names, images.shape, self.data.digest)
        return self._store(cas(fakes, test, train, config), "cas")

    @checked
    def generated(self) -> Images:
        """The samples of this run in the form that scoring takes."""

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            return sampling.samples(self.model, n, seed, self.labels(n), BATCH, self.options, group, self.sampler)

        shape, options = self.data.shape, self.options.to_dict()
        about = {**self.trained.facts(), **({"sampling": options} if options else {})}
        if self.sampler is not None:
            about["sampler_sha256"] = samplers.digest(self.sampler)
        classes = self.data.classes if self.model.classes else ()
        known = Classes(lambda n, seed: np.asarray(self.labels(n)), classes) if classes else None
        return Images(
            self.name, None, draw, self.weights_sha256, self.labels, shape, form_at(shape), "run", about, classes, known
        )

    def _check_same(self, group: Group) -> None:
        """RunError where processes of one job have read other weights: the run is being trained."""
        found = group.gather(self.weights_sha256)

        def check() -> None:
            if found and len(set(found)) > 1:
                raise RunError(f"{self.path} was trained further while processes opened it: score it again")

        group.by_first(check)

    def _store(self, score: Measured, by: str) -> Measured:
        """The score with what is to be said of the run's weights, stored in the scores folder where it can be."""
        notes = [*self.trained.unfinished(), *self.trained.selected(), *self.trained.replaced()]
        for note in notes:
            say(f"{self.name}: {note}")
        noted = score.noted(*notes)
        found = noted.to_dict()
        self.folder.write_score(file_name(by, found), found)
        return noted

    @checked
    @alone
    def likelihood(
        self,
        k: int = 5000,
        n: int | None = None,
        split: str = "test",
        *,
        seed: int = 0,
        images: Any = None,
        labels: Any = None,
    ) -> Likelihood:
        """Estimate bounds on the log-likelihood of real images, and save them in the scores folder.

        For a run that was trained with `binarize`, the images are binarized, always with the same random draws.

        Args:
            k: importance samples per image.
            n: number of images, chosen at random by the seed; by default all.
            split: split of the data that the run was trained on.
            seed: random seed of the importance samples, and for choosing n of the images.
            images, labels: images in place of the run's own data, as `counterfeit.load_data` takes them, and the labels
                of an array. A folder is read at the size of the run's images.

        Raises:
            InputError: the model has no likelihood, or an argument is wrong.
        """
        begun = time.perf_counter()
        check_seed(seed)
        bounded(self.model)
        data = self.real(split) if images is None else self._others(images, labels)
        n = len(data) if n is None else n
        if not 1 <= n <= len(data):
            raise InputError(f"-n is {n}; {data.name} has {len(data):,} {data.split} images: choose 1 to {len(data)}")
        rows = np.concatenate(list(subset(len(data), n, seed)))
        pixels = data.images if self.config.binarization == "none" else binarize.fixed(data.images, data.split)
        y = self._given(n, None if data.labels is None or not self.model.classes else data.labels[rows])
        found = likelihood(self.model, self._checked(pixels[rows]), y, k, seed)
        receipt = {
            "run": self.name,
            "model": self.model_name,
            "generated": {"kind": "run", "name": self.name, "digest": self.weights_sha256, **self.trained.facts()},
            "real": of_set(data),
            "pixels": "black and white" if found.binarized else "gray",
            "trained_with_binarise": self.config.binarization,
            "given_labels": bool(self.model.classes),
            **{"k": k, "n": n, "seed": seed, "seconds": round(time.perf_counter() - begun, 2)},
            **of_code({**DRAWING, "likelihood": ("scoring/likelihood.py",)}),
            **made_here(sampling.device_of(self.model)),
        }
        return self._store(replace(found, receipt=receipt), "likelihood")

    @checked
    def real(self, split: str = "test") -> ImageSet:
        """A split of the images that the run was trained on. InputError if they are missing or have changed."""
        return self._images(split, "pass images= in Python")

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

    def _others(self, source: Any, labels: Any) -> ImageSet:
        """Images that are not those of the run, in the size of those that are."""
        _, height, width = self.data.shape
        size = None if locate(source).kind != "folder" else height if height == width else NATIVE
        return datasets.load(source, labels=labels, size=size)

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


@checked
def load(path: str | Path, device: str = "auto") -> Run:
    """Open a run folder, or hf://owner/name on the hub: the run, ready to sample, encode or score."""
    return Run(path, device)
