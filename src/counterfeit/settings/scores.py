"""The settings of scores. Attribute docstrings are the command line's help text."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from counterfeit.errors import InputError
from counterfeit.settings.fields import Settings, check_count, check_known, check_seed, having, option
from counterfeit.system import paths
from counterfeit.system.arguments import fitted, listed, shown
from counterfeit.system.sides import sides, spelled

REAL = Annotated[
    Any, arg(constructor=str, metavar="NAME[:SPLIT]|PATH", help_behavior_hint="(default: the data of the run)")
]


@dataclass(frozen=True)
class MeasureConfig(Settings):
    """What every measurement of generated images against real ones has."""

    real: REAL = None
    """Real images to compare with: a data set, a folder, a .zip or .tar of one, an .npz file of images, or (for FID
    only) an .npz file with their statistics mu and sigma. The test split is used if there is one; NAME:train selects
    the training split."""
    n: Annotated[int, arg(aliases=["-n"])] = 10_000
    """Number of generated images."""
    seed: int = 0
    """Random seed of the samples, from 0 to 2^63 - 1."""
    repeats: int = 1
    """Number of independent sets of n images to score; for more than one, the mean and standard deviation are
    reported."""
    size: Annotated[int | str | None, arg(metavar="PIXELS|HxW", help_behavior_hint="(default: no resizing)")] = None
    """Side length, or height and width such as 48x64, to which generated and real images are both resized, after a
    center crop, with a Lanczos filter."""
    skip_bad: bool = False
    """Skip images of a folder that cannot be read, instead of stopping at the first one."""
    device: str = "auto"
    """Device to compute on: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest one available."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 2:
            raise InputError(f"-n is {self.n}; a score needs 2 or more images, and thousands to mean something")
        check_count(self.n, "-n")
        check_count(self.repeats, "--repeats")
        check_seed(self.seed, self.repeats)
        if self.size is not None:
            object.__setattr__(self, "size", spelled(*sides(self.size)))


@dataclass(frozen=True)
class CasConfig(MeasureConfig):
    """Settings of the Classification Accuracy Score."""

    real: REAL = None
    """Real images with labels to test on: a data set, a folder or an .npz file. The test split is used if there is one;
    NAME:train selects the training split."""
    n: Annotated[int, arg(aliases=["-n"])] = 10_000
    """Number of generated images to train on, and of real images for the reference classifier. The time grows in
    proportion."""
    seed: int = 0
    """Random seed of the samples and of the classifier."""
    repeats: int = 1
    """Number of independent repetitions, each with new samples and a new classifier; for more than one, the mean and
    standard deviation are reported."""


@dataclass(frozen=True)
class InceptionSettings(Settings):
    """Settings of the detectors `inception` and `dinov2-…`; the small ones have none of their own."""

    weights: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="(default: found or downloaded)")] = None
    """File with the weights of Inception or DINOv2. By default a copy in the cache, which is downloaded if necessary;
    for Inception, the file that $COUNTERFEIT_INCEPTION names goes first."""
    any_weights: bool = False
    """Accept weights other than the standard file; the names of the metrics then say so."""
    protocol: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: tf1)")] = None
    """How images are resized for Inception: `tf1`, `pytorch-fid` or `clean`."""


@dataclass(frozen=True)
class ScoreConfig(MeasureConfig):
    """Settings of scoring."""

    # In Python and in grid files those of the detector stand beside the others: see `of`.

    detector: Annotated[Any, arg(constructor=str, metavar="NAME|FILE.onnx", help_behavior_hint="(default: auto)")] = (
        "auto"
    )
    """Network that extracts features from images (see `counterfeit list detectors`); `auto` chooses one for the real
    images and reports which."""
    metrics: Annotated[Any, arg(constructor=str, metavar="A,B", help_behavior_hint="(default: all that fit)")] = None
    """Metrics to compute, separated by commas (see `counterfeit list metrics`)."""
    compile: bool = False
    """Compile the detector with torch.compile: takes a minute or two at the start, and is faster afterwards."""
    inception: OmitArgPrefixes[InceptionSettings] = dataclasses.field(default_factory=InceptionSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.detector, str | os.PathLike) or callable(self.detector)):
            raise InputError(
                f"--detector is {shown(self.detector)}; it must be a name of `counterfeit list detectors`, the path of "
                "an .onnx file, or in Python a function"
            )
        if self.metrics is not None:
            object.__setattr__(self, "metrics", listed(self.metrics, "--metrics"))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ScoreConfig:
        """From keywords, those of the detector among them; an unknown one raises InputError."""
        own, detector = having(cls) - {"inception"}, having(InceptionSettings)
        check_known(settings, own | detector)
        plain = dict(settings)
        for name in ("real", "detector", "weights"):  # each may be a path; `~` is expanded here, once for all
            value = plain.get(name)
            if isinstance(value, os.PathLike) or (isinstance(value, str) and value.startswith("~")):
                plain[name] = paths.spelled(fitted(value, str | os.PathLike, option(name)))
        of_detector = InceptionSettings(**{name: plain.pop(name) for name in detector & plain.keys()})
        return cls(**plain, inception=of_detector)

    def keywords(self) -> dict[str, Any]:
        """What `of` takes."""
        return {name: value for name, value in vars(self).items() if name != "inception"} | vars(self.inception)
