"""The options of each command; those that Python takes too are in `settings/`. Docstrings are help texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro import MISSING
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from counterfeit.errors import InputError
from counterfeit.models import ModelSettings
from counterfeit.settings import CasConfig, InceptionSettings, ScoreConfig, check_count
from counterfeit.system.openmp import MOST_THREADS


@dataclass(frozen=True)
class Pluggable:
    """The option of every command that trains or opens runs. The files are loaded before the options are read."""

    plugin: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FILE.py", help_behavior_hint="(repeatable)")] = (
        field(default=(), kw_only=True)
    )
    """Python file with models of your own, which is run before anything else."""


@dataclass(frozen=True)
class Threaded:
    """The option of every command that computes. It is read before PyTorch is loaded: see `system.openmp`."""

    threads: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: the cores it may use)")] = field(
        default=None, kw_only=True
    )
    """Number of threads to compute with on the CPU. Fewer leave cores to other programs."""

    def __post_init__(self) -> None:
        if self.threads is not None:
            check_count(self.threads, "--threads")
            if self.threads > MOST_THREADS:
                raise InputError(f"--threads is {self.threads}; at most {MOST_THREADS} are possible")


def plugins(verb: str, argv: Sequence[str]) -> list[str]:
    """The files that --plugin names, wherever it stands; a word that is no file is left to the parser."""
    kinds = [*Pluggable.__subclasses__(), Judge]
    if verb not in {kind.__name__.lower() for kind in kinds}:
        return []
    found = []
    for i, word in enumerate(argv):
        name, given, value = word.partition("=")
        value = value if given else "".join(argv[i + 1 : i + 2])
        if name == "--plugin" and value.strip() and not value.startswith("-"):
            found.append(value)
    return found


@dataclass(frozen=True)
class Train(Pluggable, Threaded):
    """Train a generator and save it in a run folder."""

    model: Positional[Annotated[str, arg(metavar="MODEL")]]
    """Name of the model, see `counterfeit list models`. `counterfeit train MODEL --help` shows the settings of
    MODEL."""
    out: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="(default: runs/MODEL-DATA-sSEED)")] = None
    """Run folder to create."""
    resume: bool = False
    """Continue the run in this folder exactly from its last checkpoint, with its settings. --epochs or --steps may be
    larger than before; --data names the images if they have moved."""
    track: Annotated[str | None, arg(metavar="A,B", help_behavior_hint="(default: none)")] = None
    """Programs that mirror the run while it trains, separated by commas: `tensorboard`, `wandb` or `mlflow`."""
    training: OmitArgPrefixes[ModelSettings] = MISSING


@dataclass(frozen=True)
class Track(Pluggable):
    """Send runs to TensorBoard, Weights & Biases or MLflow: settings, log, sample grids and stored scores. What such a
    program has already is not sent again."""

    runs: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…", help_behavior_hint="")]]
    """Run folders."""
    to: Annotated[str, arg(metavar="A,B")]
    """Where to, separated by commas: `tensorboard`, `wandb` or `mlflow`."""


@dataclass(frozen=True)
class Sample(Pluggable, Threaded):
    """Draw samples from a trained model. The same seed gives the same images, however many are drawn. If the model of
    RUN has options of sampling, `counterfeit sample RUN --help` shows them."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, made by `counterfeit train`, hf://owner/name, or zoo:NAME, see `counterfeit list zoo`."""
    n: Annotated[int, arg(aliases=["-n"])] = 64
    """Number of images."""
    label: Annotated[str | None, arg(metavar="NAME|INT", help_behavior_hint="(default: all classes in turn)")] = None
    """Class to draw, by name or number, if the model is conditional."""
    seed: int = 0
    """Random seed of the noise."""
    out: Annotated[
        str | None, arg(metavar="PATH", help_behavior_hint="(default: a grid in the run's samples folder)")
    ] = None
    """Where to write: a .png (or .jpg, .webp, .gif, .bmp, .tif) for a grid of all images, .npz for arrays of images and
    labels, .npy for the images alone, or a new folder for one PNG per image (with a subfolder per class)."""
    device: str = "auto"
    """Device to compute on: `cpu`, `cuda`, `mps`, or `auto` for the fastest one available."""


@dataclass(frozen=True)
class Export(Pluggable, Threaded):
    """Write the generator of a run as a file that makes its images without counterfeit: for ONNX Runtime, for PyTorch,
    or as a page that runs in a browser. Before it is written, its images are compared with those of `sample`. If the
    model of RUN has options of sampling, `counterfeit export RUN --help` shows them; they are fixed in the file."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, made by `counterfeit train`."""
    to: Literal["onnx", "pt2", "web"] = "onnx"
    """Format: `onnx`, `pt2` (a program of torch.export), or `web` (a folder with one page, for any host of files)."""
    out: Annotated[str | None, arg(metavar="PATH", help_behavior_hint="(default: in the run's folder exports)")] = None
    """File to write, or for `web` a new folder."""


@dataclass(frozen=True)
class Push(Pluggable, Threaded):
    """Push a run to the Hugging Face hub: its files, none of which is code, and a model card that is written from its
    settings, samples and scores. Log in first, by `hf auth login` or HF_TOKEN. Then others load it as
    hf://owner/name."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, made by `counterfeit train`."""
    repository: Positional[Annotated[str, arg(metavar="OWNER/NAME[@BRANCH]")]]
    """Repository of the hub, which is made if it is not there."""
    license: Annotated[str, arg(metavar="ID")] = "unknown"
    """License of the weights, as the hub writes it, such as `mit` or `cc-by-4.0`."""
    private: bool = False
    """Make the repository a private one, if it is not there yet."""
    message: Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="(default: model and data)")] = None
    """Message of the commit."""
    dry_run: bool = False
    """Send nothing: show which files would go, and the card."""


@dataclass(frozen=True)
class Score(Pluggable, Threaded):
    """Score generated images against real ones: FID, KID, Inception Score, precision, recall, memorization and more."""

    source: Positional[Annotated[str, arg(metavar="RUN|FOLDER|FILE.npz")]]
    """Generated images to score: a run (--help shows the options of sampling of its model, if it has some), a folder of
    images, or an .npz file with a uint8 array `images`."""
    json: bool = False
    """Print a JSON object, which includes the receipt, instead of a table."""
    scoring: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class Stats(Threaded):
    """Compute the mean and covariance of the features of real images, for `score --real`."""

    source: Positional[Annotated[str, arg(metavar="NAME[:SPLIT]|PATH")]]
    """Real images: a data set, a folder or an .npz file. The test split is used if there is one; NAME:train selects the
    training split."""
    out: Annotated[str, arg(metavar="FILE.npz")]
    """File to write, with mu and sigma and a record of the images and the detector. `counterfeit score --real FILE.npz`
    uses it in place of the images, for FID only, as it does files of pytorch-fid or guided-diffusion."""
    detector: Annotated[str, arg(metavar="NAME|FILE.onnx")] = "auto"
    """Network that extracts features from images (see `counterfeit list detectors`); `auto` chooses one for the images
    and reports which."""
    n: Annotated[int | None, arg(aliases=["-n"], metavar="INT", help_behavior_hint="(default: all)")] = None
    """Number of images, chosen at random by the seed."""
    seed: int = 0
    """Random seed for choosing n of the images."""
    size: Annotated[int | str | None, arg(metavar="PIXELS|HxW", help_behavior_hint="(default: no resizing)")] = None
    """Side length, or height and width such as 48x64, to which the images are resized, after a center crop, with a
    Lanczos filter."""
    compile: bool = False
    """Compile the detector with torch.compile: takes a minute or two at the start, and is faster afterwards."""
    skip_bad: bool = False
    """Skip images of a folder that cannot be read, instead of stopping at the first one."""
    device: str = "auto"
    """Device to compute on: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest one available."""
    inception: OmitArgPrefixes[InceptionSettings] = field(default_factory=InceptionSettings)


@dataclass(frozen=True)
class Cas(Pluggable, Threaded):
    """Train a classifier on labeled generated images only, and test it on real ones: Classification Accuracy Score."""

    source: Positional[Annotated[str, arg(metavar="RUN|FOLDER|FILE.npz")]]
    """Generated images to train on: a run of a conditional model, a folder with one subfolder per class, or an .npz
    file with arrays `images` and `labels`."""
    json: bool = False
    """Print a JSON object, which includes the receipt, instead of a table."""
    scoring: OmitArgPrefixes[CasConfig] = field(default_factory=CasConfig)


@dataclass(frozen=True)
class Likelihood(Pluggable, Threaded):
    """Estimate the log-likelihood of real images under a variational autoencoder, in nats: ELBO, rate, distortion,
    IWAE bound, active units."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, as `counterfeit train` makes it. Likelihoods are comparable with published ones only if the run was
    trained with --binarize."""
    k: Annotated[int, arg(aliases=["-k"])] = 5000
    """Importance samples per image. The time grows in proportion."""
    n: Annotated[int | None, arg(aliases=["-n"], metavar="INT", help_behavior_hint="(default: all)")] = None
    """Number of images, chosen at random by the seed."""
    split: str = "test"
    """Split of the run's data to evaluate on: `test` or `train`."""
    seed: int = 0
    """Random seed of the importance samples, and for choosing n of the images."""
    json: bool = False
    """Print a JSON object, which includes the receipt, instead of a table."""
    device: str = "auto"
    """Device to compute on: `cpu`, `cuda`, `mps`, or `auto` for the fastest one available."""


@dataclass(frozen=True)
class Compare(Pluggable, Threaded):
    """Compare models over seeds: a table with uncertainties and ranks, and a report. Runs of a grid file that do not
    exist yet are trained first."""

    sources: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…|GRID.toml", help_behavior_hint="")]]
    """Finished runs, a folder of runs, or a grid file, which lists models, data sets, seeds and settings."""
    out: Annotated[
        str | None, arg(metavar="DIR", help_behavior_hint="(default: the grid's folder of runs, or comparison)")
    ] = None
    """Folder for comparison.json, table.md, table.csv and report.html, or a URL such as s3://bucket/mine."""
    rank_by: Annotated[str | None, arg(metavar="LABEL", help_behavior_hint="(default: FID)")] = None
    """Score to rank by, as named under "scores" by `counterfeit list metrics`."""
    workers: int = 1
    """Number of runs to train or score at the same time, each in its own process with an equal share of the cores."""
    engine: str = "local"
    """Where to do the work: `local` for this machine, or `ray` for a Ray cluster."""
    address: Annotated[str | None, arg(metavar="HOST:PORT", help_behavior_hint="(default: start one here)")] = None
    """Address of the Ray cluster to use, or `auto` for the one that is running on this machine."""
    cpus_per_run: int = 1
    """Number of cores (and threads) for each run on a Ray cluster. With --device cuda each run also reserves a GPU."""
    scoring: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class Report(Pluggable, Threaded):
    """Write an HTML report of finished runs: tables, charts, samples side by side, receipts. Nothing is trained."""

    runs: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…", help_behavior_hint="")]]
    """Finished runs, or a folder of runs. Scores that all of them have are used; otherwise they are scored first."""
    out: Annotated[str, arg(metavar="FILE.html")] = "report.html"
    """HTML file to write; it contains all images and needs no other file."""
    title: Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="(default: names of the runs)")] = None
    """Title of the page."""
    rank_by: Annotated[str | None, arg(metavar="LABEL", help_behavior_hint="(default: FID)")] = None
    """Score to rank by, as named under "scores" by `counterfeit list metrics`."""
    scoring: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class List(Pluggable):
    """List the models, data sets, detectors, metrics and trained generators that are available."""

    what: Positional[Annotated[str, arg(metavar="models|data|detectors|metrics|zoo")]] = "all"
    """What to list."""


@dataclass(frozen=True)
class App(Pluggable):
    """Serve pages on this machine that show runs: watch a training, start another, put models side by side."""

    runs: Positional[Annotated[tuple[str, ...], arg(metavar="[RUNS…]", help_behavior_hint="(default: runs)")]] = ()
    """Folders of runs, or runs. Nothing else is shown."""
    port: int = 8321
    """Port of the address; 0 for any that is free."""
    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own, such as 0.0.0.0, needs the token that is in the link which is
    printed."""
    open: bool = False
    """Open the page in a browser."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"--port is {self.port}; it must be 0 to 65535")


@dataclass(frozen=True)
class Judge(App):
    """Give a human test: people see real images and those of several runs, one at a time, and say which are real.

    The pages of the app, opened where a test is set up. Raters join from their own devices with --host 0.0.0.0, by a
    link with a code. Every answer is stored at once; the numbers have intervals over raters.
    """

    code: Annotated[str | None, arg(metavar="CODE", help_behavior_hint="(default: drawn by lot)")] = None
    """What raters join the next test with: 4 to 32 letters, digits and hyphens."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes commands, options and their choices in a shell.

    bash, in ~/.bashrc: eval "$(counterfeit completion bash)". zsh, in ~/.zshrc: eval "$(counterfeit completion zsh)".
    fish: counterfeit completion fish > ~/.config/fish/completions/counterfeit.fish
    """

    shell: Positional[Annotated[str, arg(metavar="bash|zsh|fish")]]
    """Shell to complete in."""
