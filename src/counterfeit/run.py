"""A trained run: what it draws, and what other rooms do with it: score, export, push, show."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from counterfeit import data as datasets
from counterfeit import exporting, hub, sampling
from counterfeit.data import ImageSet, binarize
from counterfeit.data.form import form_at
from counterfeit.data.place import locate
from counterfeit.errors import InputError, RunError
from counterfeit.generator import Generator, Labels
from counterfeit.models import MODELS
from counterfeit.models.build import conditional
from counterfeit.runs import RunFolder, samplers
from counterfeit.runs.data import images_of
from counterfeit.scoring import Images, Score, Scorer, judge
from counterfeit.scoring.cas import Labeled, cas
from counterfeit.scoring.classes import Classes
from counterfeit.scoring.images import BATCH, subset
from counterfeit.scoring.likelihood import Likelihood, bounded, likelihood
from counterfeit.scoring.receipt import DRAWING, file_name, made_here, of_code, of_set
from counterfeit.settings import ScoreConfig, check_seed
from counterfeit.system.arguments import checked
from counterfeit.system.console import say
from counterfeit.system.distributed import Group
from counterfeit.system.isolation import alone
from counterfeit.system.sides import spelled

if TYPE_CHECKING:
    from counterfeit.system.drawing import Figure

MOST_COLUMNS = 20  # of a figure: with more, images are no longer seen
Measured = TypeVar("Measured", Score, Likelihood)


class Run(Generator):
    """A trained model, opened from its run folder.

    Images are uint8 (N, C, H, W) numpy arrays; latents float32 (N, *latent_shape), which is (N, Z) of most models;
    labels class numbers or names, one for all images or one per image. The weights are those of the last checkpoint,
    or with `--keep best` of the best epoch: the moving average if the run has one (`--ema`).

    Attributes:
        path: the run folder.
        name: its name in receipts and comparisons: the folder, or for a local copy the original location.
        out: where files that are made of it go by default: its folder, or of a fetched run one of its name, beside you.
        device: the requested device.
        record: the contents of run.json; model_name, config and data are parts of it.
        options: the model's options of sampling, see `with_sampling`.
    """

    @checked
    def __init__(self, path: str | Path, device: str = "auto", name: str | None = None) -> None:
        """Read run.json. The weights are read on first use. Raises RunError if there is no run or it is damaged.

        A path hf://owner/name, or hf://owner/name@revision, is a run on the Hugging Face hub, which is fetched; and
        zoo:NAME is one of the trained generators that `counterfeit list zoo` shows.
        """
        folder = RunFolder(hub.local(path))
        if hub.is_address(path):
            super().__init__(folder, device, name or str(path), Path(hub.last(str(path))))
        else:
            super().__init__(folder, device, name or str(folder))

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

    def _others(self, source: Any, labels: Any) -> ImageSet:
        """Images that are not those of the run, in the size of those that are."""
        _, height, width = self.data.shape
        size = spelled(height, width) if locate(source).has_files else None
        return datasets.load(source, labels=labels, size=size)


@checked
def load(path: str | Path, device: str = "auto") -> Run:
    """Open a run folder, hf://owner/name or zoo:NAME: the run, ready to sample, encode or score."""
    return Run(path, device)


def is_run(source: Any) -> bool:
    """Whether it is the path or the name of a run, and no images."""
    return hub.is_address(source) or (isinstance(source, (str, Path)) and RunFolder(source).holds_run())
