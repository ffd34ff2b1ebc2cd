"""The command line: one thin function a verb. Torch is imported when a verb needs it, not for help."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, TypeVar, cast

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from counterfeit.config import Config, ScoreConfig
from counterfeit.console import say
from counterfeit.errors import InputError
from counterfeit.recipes import RECIPES
from counterfeit.registry import Registry
from counterfeit.version import __version__

T = TypeVar("T")
PROG = "counterfeit"
VERBS: Registry[Callable[[list[str]], int]] = Registry("verb")


@dataclass(frozen=True)
class Train:
    """Train a generator and keep it in a run folder."""

    model: Positional[Annotated[str, arg(metavar="MODEL")]]
    """Name of the model: ae, vae, cvae, gan, lsgan or dcgan. The defaults below are this model's own."""
    out: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Run folder; by default runs/MODEL-DATA-sSEED."""
    resume: bool = False
    """Continue the run in that folder exactly where its last checkpoint left it; its settings are taken over, and
    --epochs may be raised."""
    config: OmitArgPrefixes[Config] = field(default_factory=Config)


@dataclass(frozen=True)
class Sample:
    """Draw samples from a trained run. The same seed gives the same images, however many are drawn."""

    run: Positional[Annotated[str, arg(metavar="RUN")]]
    """Run folder, as `counterfeit train` makes it."""
    n: Annotated[int, arg(aliases=["-n"])] = 64
    """Number of images."""
    label: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """Draw this class only (cvae); by default each class in turn."""
    seed: int = 0
    """Seed of the noise."""
    out: Annotated[str | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """grid.png for one picture, FILE.npz for arrays, or a new folder for one PNG an image; by default a grid in the
    run's samples folder."""
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
    """Run folder, as `counterfeit train` makes it; train with --binarise for nats that compare with published ones."""
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

    sources: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…|GRID.toml")]]
    """Finished runs, or a folder of runs; or one grid file, which names models, data sets, seeds and settings."""
    out: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder for comparison.json, table.md, table.csv and report.html; by default the grid's own folder of runs, or
    `comparison`."""
    rank_by: Annotated[str | None, arg(metavar="LABEL", help_behavior_hint="")] = None
    """Score that ranks, as `counterfeit list metrics` prints it; by default FID."""
    config: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class Report:
    """Write one HTML page of finished runs: tables, charts, samples side by side, receipts. Nothing is trained."""

    runs: Positional[Annotated[tuple[str, ...], arg(metavar="RUN…")]]
    """Finished runs, or a folder of runs; those without a score of the kind below are scored."""
    out: Annotated[str, arg(metavar="FILE.html")] = "report.html"
    """The page: one file that needs nothing beside it."""
    rank_by: Annotated[str | None, arg(metavar="LABEL", help_behavior_hint="")] = None
    """Score that ranks, as `counterfeit list metrics` prints it; by default FID."""
    config: OmitArgPrefixes[ScoreConfig] = field(default_factory=ScoreConfig)


@dataclass(frozen=True)
class List:
    """List what there is, by name."""

    what: Positional[Annotated[str, arg(metavar="models|data|detectors|metrics")]] = "all"
    """What to list; by default everything."""


@VERBS.register("train")
def train(argv: list[str]) -> int:
    """train a generator on a data set or a folder of images"""
    # The defaults are the model's own; a model that is named after options is met in a second reading.
    model = argv[0] if argv and argv[0] in RECIPES else "vae"
    if argv[:1] == [model] and {"-h", "--help"} & set(argv):
        argv = argv[1:]  # tyro's help leaves out a positional that has been given
    asked = parse(Train, argv, Train(tyro.MISSING, config=RECIPES[model].config))
    if asked.model != model:
        asked = parse(Train, argv, Train(tyro.MISSING, config=RECIPES[asked.model].config))

    from counterfeit.verbs.train import Interrupted, fit, starting_config

    if asked.resume:
        # What the run was trained with takes the place of the model's own settings; options that were typed go on top.
        given = {"data": asked.config.data, "seed": asked.config.seed}
        config = starting_config(asked.model, asked.out, True, given)
        asked = parse(Train, argv, Train(tyro.MISSING, config=config))
    try:
        run = fit(asked.model, asked.config, out=asked.out, resume=asked.resume)
    except Interrupted as stopped:
        say(str(stopped))
        return 130
    print(f"run      {run.path}")
    print(f"samples  {max(run.folder.samples.glob('epoch-*.png'), default=run.folder.samples)}")
    print(f"curves   {run.folder.curves}")
    print(f"next     {PROG} sample {run.path} -n 64 --out grid.png")
    return 0


@VERBS.register("sample")
def sample(argv: list[str]) -> int:
    """draw images from a trained run"""
    asked = parse(Sample, argv)

    from counterfeit.run import load
    from counterfeit.verbs.sample import sample as draw

    print(draw(load(asked.run, asked.device), asked.n, label=asked.label, seed=asked.seed, out=asked.out))
    return 0


@VERBS.register("score")
def score(argv: list[str]) -> int:
    """score generated images against real ones"""
    asked = parse(Score, argv)

    from counterfeit.verbs.score import score as judge

    settings = {field.name: getattr(asked.config, field.name) for field in fields(asked.config)}
    result = judge(asked.source, **settings)
    print(json.dumps(result.to_dict(), indent=2) if asked.json else result.table())
    return 0


@VERBS.register("cas")
def cas(argv: list[str]) -> int:
    """how well a classifier learns real classes from labelled generated images"""
    asked = parse(Cas, argv)

    from counterfeit.verbs.cas import cas as learn

    settings = {field.name: getattr(asked, field.name) for field in fields(asked) if field.name != "json"}
    result = learn(**settings)
    print(json.dumps(result.to_dict(), indent=2) if asked.json else result.table())
    return 0


@VERBS.register("likelihood")
def likelihood(argv: list[str]) -> int:
    """bound the likelihood of real images under a vae or cvae, in nats"""
    asked = parse(Likelihood, argv)

    from counterfeit.verbs.likelihood import likelihood as bound

    found = bound(asked.run, asked.k, asked.n, asked.split, seed=asked.seed, device=asked.device)
    print(json.dumps(found.to_dict(), indent=2) if asked.json else found.table())
    return 0


@VERBS.register("compare")
def compare(argv: list[str]) -> int:
    """compare runs, or a whole grid of models, data sets and seeds"""
    asked = parse(Compare, argv)

    from counterfeit.comparison.render import terminal
    from counterfeit.verbs.compare import compare as contrast
    from counterfeit.verbs.compare import described
    from counterfeit.verbs.train import Interrupted

    # The grid file's own settings are the defaults; what was typed goes on top.
    grid = described(asked.sources)
    asked = parse(Compare, argv, Compare(tyro.MISSING, config=grid.score))
    settings = {field.name: getattr(asked.config, field.name) for field in fields(asked.config)}
    try:
        found = contrast(asked.sources, out=asked.out, rank_by=asked.rank_by, **settings)
    except Interrupted:
        say("stopped with a checkpoint; the same command goes on")
        return 130
    print(terminal(found))
    for failure in found["failures"]:
        say(f"{PROG}: {failure['run']}: {failure['error']}")
    return 1 if found["failures"] else 0


@VERBS.register("report")
def report(argv: list[str]) -> int:
    """write one HTML page of finished runs"""
    asked = parse(Report, argv)

    from counterfeit.verbs.report import report as make

    settings = {field.name: getattr(asked.config, field.name) for field in fields(asked.config)}
    print(make(asked.runs, asked.out, rank_by=asked.rank_by, **settings))
    return 0


@VERBS.register("list")
def list_(argv: list[str]) -> int:
    """list models, data sets, detectors and metrics"""
    from counterfeit.verbs.list import LISTS

    asked = parse(List, argv)
    for name in LISTS if asked.what == "all" else [asked.what]:
        print(LISTS[name]())
    return 0


def parse(kind: type[T], argv: Sequence[str], default: T | None = None) -> T:
    """Read a verb's options; --help prints and exits with 0, a fault becomes one line and an InputError."""
    prog = f"{PROG} {kind.__name__.lower()}"
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            options = tyro.cli(kind, prog=prog, args=list(argv), default=default, config=(FlagCreatePairsOff,))
            return cast(T, options)
    except SystemExit as exit:
        if exit.code in (0, None):
            raise
    raise InputError(f"{_in_one_line(box.getvalue())} (see {prog} --help)")


def _in_one_line(box: str) -> str:
    """The fault that tyro draws in a box: below its title, above the rules between its parts."""
    lines = [line.strip("│| ") for line in box.splitlines() if line.strip("│|─- ")]
    told = [line for line in lines[1:] if not line.startswith(("╰", "+", "For full help", "Argument helptext"))]
    kept = told[:3] if len(told) > 1 and told[1].endswith(":") else told[:2]
    return " ".join(kept).removeprefix("Error parsing config: ")


def overview() -> str:
    """What `counterfeit --help` prints."""
    verbs = "\n".join(f"  {name:<12}{VERBS[name].__doc__}" for name in VERBS)
    return f"""usage: {PROG} VERB ...

Train image generators on a laptop, and score them with numbers that can be trusted.

{verbs}

  {PROG} VERB --help   every option of a verb, with unit and default
  {PROG} --version     the version

A first run, a minute or so:
  {PROG} train vae --data mnist --epochs 2
  {PROG} sample runs/vae-mnist-s0 --out digits.png
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb and exit: 0 done, 2 wrong input (one line on stderr), 130 stopped by Ctrl-C, 1 a fault of ours."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(overview(), end="")
        sys.exit(0)
    if words[0] == "--version":
        print(f"{PROG} {__version__}")
        sys.exit(0)
    try:
        sys.exit(VERBS[words[0]](words[1:]))
    except InputError as error:
        say(f"{PROG}: {' '.join(str(error).split())}")
        sys.exit(2)
    except KeyboardInterrupt:
        say(f"{PROG}: interrupted")
        sys.exit(130)
