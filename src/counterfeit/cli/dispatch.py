"""The command line: one thin function per command. Torch is imported when a command needs it, not for help."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

import tyro
from tyro.conf import FlagCreatePairsOff

from counterfeit.cli.help import OPTIONS, columns, wrapped
from counterfeit.cli.options import Cas, Compare, Likelihood, List, Report, Sample, Score, Stats, Train
from counterfeit.errors import InputError, OutputError, Told
from counterfeit.models.recipes import RECIPES
from counterfeit.registry import Registry
from counterfeit.settings import ScoreConfig
from counterfeit.system import paths
from counterfeit.system.console import Page, alone, close_streams, job_size, result, say, settle_streams, speaks, tell
from counterfeit.system.signals import STOPPED
from counterfeit.version import __version__

T = TypeVar("T")
PROG = "counterfeit"
VERBS: Registry[Callable[[list[str]], int]] = Registry("verb")
SHARED = ("train", "score")  # verbs that several processes can do together


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

    from counterfeit.api.train import fit, starting_config

    if asked.resume:
        # What the run was trained with takes the place of the model's own settings; options that were typed go on top.
        given = {"data": asked.config.data, "seed": asked.config.seed}
        config = starting_config(asked.model, asked.out, True, given)
        asked = parse(Train, argv, Train(tyro.MISSING, config=config))
    folder = fit(asked.model, asked.config, out=asked.out, resume=asked.resume).folder
    samples = max(folder.samples.glob("epoch-*.png"), default=folder.samples)
    lines = [f"run      {folder}", f"samples  {folder.shown(samples)}", f"curves   {folder.shown(folder.curves)}"]
    result("\n".join([*lines, f"next     {PROG} sample {folder} -n 64 --out grid.png"]))
    return 0


@VERBS.register("sample")
def sample(argv: list[str]) -> int:
    """draw images from a trained model"""
    asked = parse(Sample, argv)

    from counterfeit.api.sample import sample as draw

    result(str(draw(asked.run, asked.n, label=asked.label, seed=asked.seed, out=asked.out, device=asked.device)))
    return 0


@VERBS.register("score")
def score(argv: list[str]) -> int:
    """score generated images against real ones"""
    asked = parse(Score, argv)

    from counterfeit.api.score import score as judge

    settings = score_settings(asked.config)
    found = judge(asked.source, **settings)
    result(json.dumps(found.to_dict(), indent=2) if asked.json else found.table())
    return 0


@VERBS.register("cas")
def cas(argv: list[str]) -> int:
    """test on real images a classifier trained on generated ones"""
    asked = parse(Cas, argv)

    from counterfeit.api.cas import cas as learn

    settings = {field.name: getattr(asked, field.name) for field in fields(asked) if field.name != "json"}
    found = learn(**settings)
    result(json.dumps(found.to_dict(), indent=2) if asked.json else found.table())
    return 0


@VERBS.register("stats")
def stats(argv: list[str]) -> int:
    """compute the mean and covariance of real images, for score --real"""
    asked = parse(Stats, argv)

    from counterfeit.api.stats import stats as write

    settings = {field.name: getattr(asked, field.name) for field in fields(asked)}
    result(str(write(settings.pop("source"), settings.pop("out"), **settings)))
    return 0


@VERBS.register("likelihood")
def likelihood(argv: list[str]) -> int:
    """estimate the log-likelihood of real images under a vae or cvae"""
    asked = parse(Likelihood, argv)

    from counterfeit.api.likelihood import likelihood as bound

    found = bound(asked.run, asked.k, asked.n, asked.split, seed=asked.seed, device=asked.device)
    result(json.dumps(found.to_dict(), indent=2) if asked.json else found.table())
    return 0


@VERBS.register("compare")
def compare(argv: list[str]) -> int:
    """compare runs, or train and compare a whole grid of them"""
    asked = parse(Compare, argv)

    from counterfeit.api.compare import compare as contrast
    from counterfeit.api.compare import described
    from counterfeit.comparison.render import terminal

    # The grid file's own settings are the defaults; what was typed goes on top.
    grid = described(asked.sources)
    asked = parse(Compare, argv, Compare(tyro.MISSING, config=grid.score))
    settings = score_settings(asked.config)
    try:
        found = contrast(
            asked.sources,
            out=asked.out,
            rank_by=asked.rank_by,
            workers=asked.workers,
            engine=asked.engine,
            address=asked.address,
            cpus_per_run=asked.cpus_per_run,
            **settings,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; run the same command to continue") from None
    result(terminal(found))
    return told(found["failures"])


@VERBS.register("report")
def report(argv: list[str]) -> int:
    """write an HTML report of finished runs"""
    asked = parse(Report, argv)

    from counterfeit.api.report import report as make

    settings = score_settings(asked.config)
    found = make(asked.runs, asked.out, rank_by=asked.rank_by, **settings)
    result(paths.typed(asked.out))
    return told(found["failures"])


@VERBS.register("list")
def list_(argv: list[str]) -> int:
    """list models, data sets, detectors and metrics"""
    from counterfeit.api.list import LISTS

    asked = parse(List, argv)
    for name in LISTS if asked.what == "all" else [asked.what]:
        result(LISTS[name]())
    return 0


def told(failures: list[dict[str, str]]) -> int:
    """Name the members of a comparison that failed; the exit code."""
    for failure in failures:
        say(f"{PROG}: {failure['run']}: {failure['error']}")
    return 1 if failures else 0


def score_settings(config: ScoreConfig) -> dict[str, Any]:
    """As keywords of the API."""
    return {field.name: getattr(config, field.name) for field in fields(config)}


def parse(kind: type[T], argv: Sequence[str], default: T | None = None) -> T:
    """Read a verb's options; --help prints and exits with 0, a fault becomes one line and an InputError."""
    prog = f"{PROG} {kind.__name__.lower()}"
    check_given(argv)
    box, page = io.StringIO(), Page()
    try:
        with contextlib.redirect_stderr(box), contextlib.redirect_stdout(page):
            made = tyro.cli(
                kind, prog=prog, args=list(argv), default=default, config=(FlagCreatePairsOff,), registry=OPTIONS
            )
            return cast(T, made)
    except SystemExit as exit:
        if exit.code in (0, None):
            result(wrapped(page.getvalue()), keep="\n\x1b")  # colors, in a terminal
            raise
    raise InputError(f"{_in_one_line(box.getvalue())} (see {prog} --help)")


def check_given(argv: Sequence[str]) -> None:
    """InputError for an empty word, which is what the shell makes of "$OUT" where OUT is not set."""
    for before, word in zip(["", *argv], argv, strict=False):
        option, is_option, value = word.partition("=")
        if word.strip() and not (option.startswith("--") and is_option and not value.strip()):
            continue
        of = option if word.strip() else before
        what = of if of.startswith("-") else "an argument"
        raise InputError(f"{what} is empty (perhaps an unset shell variable): give it a value, or leave it out")


def _in_one_line(box: str) -> str:
    """The fault that tyro draws in a box: below its title, above the rules between its parts."""
    lines = [line.strip("│| ") for line in box.splitlines() if line.strip("│|─- ")]
    told = [line for line in lines[1:] if not line.startswith(("╰", "+", "For full help", "Argument helptext"))]
    kept = told[:3] if len(told) > 1 and told[1].endswith(":") else told[:2]
    return " ".join(kept).removeprefix("Error parsing config: ")


def told_here(error: InputError) -> bool:
    """Of processes that all have an error one tells it: until they are joined, the first on each machine."""
    torch = sys.modules.get("torch")
    joined = torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
    return not isinstance(error, Told) and (joined or alone() or os.environ.get("LOCAL_RANK", "0") == "0")


def overview() -> str:
    """What `counterfeit --help` prints."""
    commands = [(name, VERBS[name].__doc__ or "") for name in VERBS]
    more = [(f"{PROG} COMMAND --help", "show the options of a command"), (f"{PROG} --version", "show the version")]
    return f"""usage: {PROG} COMMAND ...

Train image generators on a laptop, and score them reliably.

{columns(commands)}

{columns(more)}

A first example, which takes about a minute:
  {PROG} train vae --data mnist --epochs 2
  {PROG} sample runs/vae-mnist-s0 --out digits.png
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb and exit: 0 done, 2 wrong input (one line on stderr), 130 stopped by a signal, 1 a fault of ours.

    1 is also a comparison of which a member failed; it is named on stderr.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    settle_streams()
    try:
        code = _run(words)
        close_streams()
    except OutputError as error:
        say(f"{PROG}: {error}")
        close_streams()
        code = 1
    sys.exit(code)


def _run(words: list[str]) -> int:
    """The exit code of a verb; what it raises for the user is told here."""
    try:
        if not words or words[0] in ("-h", "--help"):
            result(overview().rstrip())
            return 0
        if words[0] == "--version":
            result(f"{PROG} {__version__}")
            return 0
        if not speaks():
            sys.stdout = open(os.devnull, "w", encoding="utf-8")
        if job_size() != 1 and words[0] in VERBS and words[0] not in SHARED:
            raise InputError(f"{words[0]} runs in one process: start it without torchrun")
        return VERBS[words[0]](words[1:])
    except SystemExit as exit:  # --help of a verb
        return int(exit.code or 0)
    except InputError as error:
        if told_here(error):
            tell(f"{PROG}: {' '.join(str(error).split())}")
        return 2
    except KeyboardInterrupt as stopped:
        say(str(stopped) or f"{PROG}: interrupted")
        return STOPPED
    except BrokenPipeError:  # who reads our output, such as `head`, has seen enough
        return 0
