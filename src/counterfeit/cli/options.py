"""What each verb can be told on the command line; what the API has too stands in `settings.py`.

Docstrings are the help text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

from tyro import MISSING
from tyro.conf import OmitArgPrefixes, Positional, arg

from counterfeit.models import ModelSettings
from counterfeit.settings import ScoreConfig

S = TypeVar("S", bound=ModelSettings)


@dataclass(frozen=True)
class Train(Generic[S]):
    """Train a generator and keep it in a run folder."""

    model: Positional[Annotated[str, arg(metavar="MODEL")]]
    """Name of the model, see `counterfeit list models`; `counterfeit train MODEL --help` shows its own settings."""
    out: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Run folder; by default runs/MODEL-DATA-sSEED."""
    resume: bool = False
    """Continue the run in that folder exactly where its last checkpoint left it; its settings are taken over, and
    --epochs may be raised. Images that have moved are named by --data."""
    settings: OmitArgPrefixes[S] = MISSING


@dataclass(frozen=True)
class Sample:
    """Draw samples from a trained run. The same seed gives the same images, however many are drawn."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, as `counterfeit train` makes it."""
    n: Annotated[int, arg(aliases=["-n"])] = 64
    """Number of images."""
    label: Annotated[str | None, arg(metavar="NAME|INT", help_behavior_hint="")] = None
    """Draw this class only (cvae), by its name or else its number; by default each class in turn."""
    seed: int = 0
    """Seed of the noise."""
    out: Annotated[str | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """grid.png for one picture (or .jpg, .webp, .gif, .bmp, .tif), FILE.npz for arrays, .npy for the images alone, or a
    new folder for one PNG an image, in a subfolder a class; by default a grid in the run's samples folder."""
    device: str = "auto"
    """Where to compute: `cpu`, `cuda`, `mps`, or `auto` for the best there is."""


@dataclass(frozen=True)
class Score:
    """Score generated images against real ones: FID, KID, Inception Score, precision, recall, memorisation and more."""

    source: Positional[Annotated[str, arg(metavar="RUN|FOLDER|FILE.npz")]]
    """What to score: a run, a folder of images, or an .npz file with `images`, uint8."""
    json: bool = False
    """Print one JSON object with the receipt instead of a table."""
    config: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class Stats:
    """Write mean and covariance of real images' features, for `score --real`."""

    source: Positional[Annotated[str, arg(metavar="NAME[:SPLIT]|PATH")]]
    """Real images: a data set, of which it is the test split where there is one unless NAME:train is named; or a folder
    or .npz file."""
    out: Annotated[str, arg(metavar="FILE.npz")]
    """The file: mu, sigma, and which images, how many and which detector they are of. `counterfeit score --real
    FILE.npz` takes it in place of the images, for FID only, as it takes those of pytorch-fid or guided-diffusion."""
    detector: Annotated[str, arg(metavar="NAME|FILE.onnx")] = "auto"
    """What turns images into features: see `counterfeit list detectors`; `auto` picks by the images and says which."""
    n: Annotated[int | None, arg(aliases=["-n"], metavar="INT", help_behavior_hint="(default: all)")] = None
    """Number of images, a choice by the seed."""
    seed: int = 0
    """Seed of the choice."""
    size: Annotated[int | None, arg(metavar="PIXELS", help_behavior_hint="(default: as they are)")] = None
    """Side that the images are brought to, by the centered square and a Lanczos filter."""
    weights: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Inception's weights; by default $COUNTERFEIT_INCEPTION, the cache, or a download into it."""
    any_weights: bool = False
    """Take Inception weights other than the standard file."""
    protocol: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: tf1)")] = None
    """How images are resized for Inception: `tf1`, `pytorch-fid` or `clean`."""
    compile: bool = False
    """Translate the detector with torch.compile: a minute or two at the start, quicker from then on."""
    skip_bad: bool = False
    """Leave out the images of a folder that cannot be used, instead of stopping at the first."""
    device: str = "auto"
    """Where to compute: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best there is."""


@dataclass(frozen=True)
class Cas:
    """Train a classifier on labelled generated images only, and test it on real ones: Classification Accuracy Score."""

    source: Positional[Annotated[str, arg(metavar="RUN|FOLDER|FILE.npz")]]
    """What to learn from: a run of a conditional model, a folder with a subfolder a class, or an .npz file with
    `images` and `labels`."""
    real: Annotated[str | None, arg(metavar="NAME[:SPLIT]|PATH", help_behavior_hint="")] = None
    """Real images to test on, with labels: a data set, of which it is the test split where there is one unless
    NAME:train is named; or a folder or .npz file. By default, for a run, the data that it was trained on."""
    n: Annotated[int, arg(aliases=["-n"])] = 10_000
    """Number of generated images, and of real ones for the classifier beside it; the time is in proportion to it."""
    seed: int = 0
    """Seed of the draw and of the classifier."""
    repeats: int = 1
    """Independent draws, each with a classifier of its own; with more than one their mean and standard deviation."""
    size: Annotated[int | None, arg(metavar="PIXELS", help_behavior_hint="(default: as they are)")] = None
    """Side that generated and real images are both brought to, by the centered square and a Lanczos filter."""
    json: bool = False
    """Print one JSON object with the receipt instead of a table."""
    skip_bad: bool = False
    """Leave out the images of a folder that cannot be used, instead of stopping at the first."""
    device: str = "auto"
    """Where to compute: `cpu`, `cuda`, `mps`, or `auto` for the best there is."""


@dataclass(frozen=True)
class Likelihood:
    """Bound the likelihood of real images under a vae or cvae, in nats: ELBO, rate, distortion, IWAE; active units."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, as `counterfeit train` makes it; train with --binarize for nats that compare with published ones."""
    k: Annotated[int, arg(aliases=["-k"])] = 5000
    """Importance samples an image; the time is in proportion to it."""
    n: Annotated[int | None, arg(aliases=["-n"], metavar="INT", help_behavior_hint="(default: all)")] = None
    """Number of images, a choice by the seed."""
    split: str = "test"
    """Split of the data that the run was trained on: `test` or `train`."""
    seed: int = 0
    """Seed of the samples and of the choice of images."""
    json: bool = False
    """Print one JSON object with the receipt instead of a table."""
    device: str = "auto"
    """Where to compute: `cpu`, `cuda`, `mps`, or `auto` for the best there is."""


@dataclass(frozen=True)
class Compare:
    """Compare runs over seeds: a table with uncertainty and ranks, and a report. What a grid file lacks is trained."""

    sources: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…|GRID.toml", help_behavior_hint="")]]
    """Finished runs, or a folder of runs; or one grid file, which names models, data sets, seeds and settings."""
    out: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder, or a URL such as s3://bucket/mine, for comparison.json, table.md, table.csv and report.html; by default
    the grid's own folder of runs, or `comparison`."""
    rank_by: Annotated[str | None, arg(metavar="LABEL", help_behavior_hint="")] = None
    """Score that ranks, as `counterfeit list metrics` prints it; by default FID."""
    workers: int = 1
    """Runs in work at once, each in a process of its own with its share of the cores; 1 is one after another."""
    engine: str = "local"
    """Where the runs are worked on: `local`, on this machine, or `ray`, on a Ray cluster."""
    address: Annotated[str | None, arg(metavar="HOST:PORT", help_behavior_hint="")] = None
    """The Ray cluster to join, `auto` for the one that runs on this machine; by default one is started here."""
    cpus_per_run: int = 1
    """Cores that a run reserves on a Ray cluster, and its threads; a GPU too, where its --device is cuda."""
    config: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class Report:
    """Write one HTML page of finished runs: tables, charts, samples side by side, receipts. Nothing is trained."""

    runs: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…", help_behavior_hint="")]]
    """Finished runs, or a folder of runs; scores that all of them have are taken, else they are scored."""
    out: Annotated[str, arg(metavar="FILE.html")] = "report.html"
    """The page: one file that needs nothing beside it."""
    title: Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")] = None
    """Title of the page; by default it names the runs."""
    rank_by: Annotated[str | None, arg(metavar="LABEL", help_behavior_hint="")] = None
    """Score that ranks, as `counterfeit list metrics` prints it; by default FID."""
    config: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class List:
    """List what there is, by name."""

    what: Positional[Annotated[str, arg(metavar="models|data|detectors|metrics")]] = "all"
    """What to list; by default everything."""
