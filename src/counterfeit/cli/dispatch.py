"""The command line: one thin function per command. Torch is imported when a command needs it, not for help."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from counterfeit.cli import run_options
from counterfeit.cli.help import columns
from counterfeit.cli.options import (
    App,
    Cas,
    Compare,
    Completion,
    Export,
    Judge,
    Likelihood,
    List,
    Push,
    Report,
    Sample,
    Score,
    Stats,
    Track,
    plugins,
)
from counterfeit.cli.parsing import PROG, parse, typed
from counterfeit.errors import Abandoned, InputError, OutputError, ReportedElsewhere
from counterfeit.models import MODELS
from counterfeit.models.plugins import load_plugin
from counterfeit.registry import Registry
from counterfeit.system import paths
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.console import alone, close_streams, job_size, result, say, settle_streams, speaks, tell
from counterfeit.system.signals import STOPPED
from counterfeit.version import __version__

VERBS: Registry[Callable[[list[str]], int]] = Registry("verb")
SHARED = ("train", "score")  # verbs that several processes can do together


@VERBS.register("train")
def train(argv: list[str]) -> int:
    """train a generator on a data set or a folder of images"""
    from counterfeit.cli import training

    argv = [training.today(word) for word in argv]
    asked = training.parsed(argv)

    from counterfeit.api.train import fit, starting_config

    settings = typed(vars(asked.training), argv)  # on top of the model's own, or what the run was trained with
    config = MODELS[asked.model].changed(starting_config(asked.model, asked.out, asked.resume, settings), settings)
    run = fit(asked.model, config, out=asked.out, resume=asked.resume, track=asked.track, given=settings)
    folder = run.folder
    samples = max(folder.samples.glob("epoch-*.png"), default=folder.samples, key=lambda path: (len(path.name), path))
    made = {"run": folder, "samples": folder.shown(samples), "curves": folder.shown(folder.curves)}
    lines = [f"{name:8} {path}" for name, path in made.items() if name != "curves" or folder.curves.exists()]
    more = "".join(f" --plugin {path}" for path in asked.plugin)
    result("\n".join([*lines, f"next     {PROG} sample {folder} -n 64 --out grid.png{more}"]))
    return 0


@VERBS.register("sample")
def sample(argv: list[str]) -> int:
    """draw images from a trained model"""
    asked, options = run_options.parsed(Sample, argv)

    from counterfeit.api.sample import sample as draw

    run = drawing(asked.run, asked.device, options)
    result(str(draw(run, asked.n, label=asked.label, seed=asked.seed, out=asked.out, device=asked.device)))
    return 0


@VERBS.register("export")
def export(argv: list[str]) -> int:
    """write a generator for ONNX Runtime, PyTorch or a browser"""
    asked, options = run_options.parsed(Export, argv)

    from counterfeit.run import Run

    run = drawing(asked.run, "cpu", options)
    run = Run(run, "cpu") if isinstance(run, str) else run
    written = run.export(asked.to, asked.out)
    page = "index.html" if asked.to == "web" else ""
    result(str(written / page))
    return 0


@VERBS.register("push")
def push(argv: list[str]) -> int:
    """push a run to the Hugging Face hub, with a model card"""
    asked = parse(Push, argv)

    from counterfeit.run import Run

    pushed = Run(asked.run, "cpu").push(
        asked.repository,
        license=asked.license,
        private=asked.private,
        message=asked.message,
        dry_run=asked.dry_run,
    )
    result(f"{pushed.table()}\n\n{pushed.card}" if asked.dry_run else f"{pushed.where}\n{pushed.url}")
    return 0


@VERBS.register("score")
def score(argv: list[str]) -> int:
    """score generated images against real ones"""
    asked, options = run_options.parsed(Score, argv)

    from counterfeit.api.score import score as judge

    settings = asked.scoring.keywords()
    found = judge(drawing(asked.source, settings["device"], options), **settings)
    result(json.dumps(found.to_dict(), indent=2) if asked.json else found.table())
    return 0


@VERBS.register("cas")
def cas(argv: list[str]) -> int:
    """test on real images a classifier trained on generated ones"""
    asked, options = run_options.parsed(Cas, argv)

    from counterfeit.api.cas import cas as learn

    settings = vars(asked.scoring)
    found = learn(drawing(asked.source, settings["device"], options), **settings)
    result(json.dumps(found.to_dict(), indent=2) if asked.json else found.table())
    return 0


@VERBS.register("stats")
def stats(argv: list[str]) -> int:
    """compute the mean and covariance of real images, for score --real"""
    asked = parse(Stats, argv)

    from counterfeit.api.stats import stats as write

    settings = {**vars(asked), **vars(asked.inception)}
    del settings["inception"], settings["threads"]
    result(str(write(settings.pop("source"), settings.pop("out"), **settings)))
    return 0


@VERBS.register("likelihood")
def likelihood(argv: list[str]) -> int:
    """estimate the log-likelihood of real images under a variational autoencoder"""
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
    from counterfeit.comparison.render import terminal
    from counterfeit.report.records import Comparison, of_json

    settings = typed(asked.scoring.keywords(), argv)  # on top of what the grid file says
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
    result(terminal(of_json(found, Comparison)))
    return report_failures(found["failures"])


@VERBS.register("report")
def report(argv: list[str]) -> int:
    """write an HTML report of finished runs"""
    asked = parse(Report, argv)

    from counterfeit.api.report import report as make

    settings = typed(asked.scoring.keywords(), argv)  # the rest is for the scores that are there to say
    found = make(asked.runs, asked.out, title=asked.title, rank_by=asked.rank_by, **settings)
    result(paths.typed(asked.out))
    return report_failures(found["failures"])


@VERBS.register("track")
def track(argv: list[str]) -> int:
    """send runs to TensorBoard, Weights & Biases or MLflow"""
    asked = parse(Track, argv)

    from counterfeit.api.track import track as send

    for run in asked.runs:
        for name, where in send(run, asked.to).items():
            result(f"{name:<12} {where}")
    return 0


@VERBS.register("app")
def app(argv: list[str]) -> int:
    """show runs in a browser, and start, watch and compare them"""
    asked = parse(App, argv)

    from counterfeit.app.start import start

    start(asked.runs, asked.host, asked.port, asked.open)
    return 0


@VERBS.register("judge")
def judge(argv: list[str]) -> int:
    """let people judge which images are real, for a score with intervals"""
    asked = parse(Judge, argv)

    from counterfeit.app.start import start

    start(asked.runs, asked.host, asked.port, asked.open, "/judge", asked.code)
    return 0


@VERBS.register("list")
def list_(argv: list[str]) -> int:
    """list models, data sets, detectors, metrics and trained generators"""
    from counterfeit.api.list import LISTS

    asked = parse(List, argv)
    for name in LISTS if asked.what == "all" else [asked.what]:
        result(LISTS[name]())
    return 0


@VERBS.register("completion")
def completion(argv: list[str]) -> int:
    """print a script that completes commands and options in a shell"""
    from counterfeit.cli.completion import SHELLS, known

    shell, verbs = parse(Completion, argv).shell, described()
    result(SHELLS[shell](verbs, known(verbs)).rstrip(), keep="\n")
    return 0


def report_failures(failures: list[dict[str, str]]) -> int:
    """Name the members of a comparison that failed; the exit code."""
    for failure in failures:
        say(f"{PROG}: {failure['run']}: {failure['error']}")
    return 1 if failures else 0


def drawing(source: str, device: str, options: dict[str, Any]) -> Any:
    """A run that draws its images with options of sampling; what has none is left to the command as it was typed."""
    if not options:
        return source
    from counterfeit.run import Run

    return Run(source, device).with_sampling(**options)


def told_here(error: InputError) -> bool:
    """Of processes that all have an error one tells it: until they are joined, the first on each machine."""
    torch = sys.modules.get("torch")
    joined = torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
    return not isinstance(error, ReportedElsewhere) and (joined or alone() or os.environ.get("LOCAL_RANK", "0") == "0")


def described() -> dict[str, str]:
    """The verbs, and what each does."""
    return {name: VERBS[name].__doc__ or "" for name in VERBS}


def overview() -> str:
    """What `counterfeit --help` prints."""
    more = [(f"{PROG} COMMAND --help", "show the options of a command"), (f"{PROG} --version", "show the version")]
    return f"""usage: {PROG} COMMAND ...

Train image generators on a laptop, and score them reliably.

{columns(list(described().items()))}

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
        return _worked(words)
    except KeyboardInterrupt as stopped:
        error = _cut_short(stopped)
        message = str(stopped) or f"{PROG}: {error or 'interrupted'}"
        # That a process has died, any other one says: it may have been the one that speaks for all.
        (tell if error is not None and told_here(error) else say)(message)
        return STOPPED


def _cut_short(stopped: BaseException) -> Abandoned | None:
    """That another process has ended, if this was on its way to the user: just then torchrun stops the others."""
    error = stopped.__context__
    while error is not None and not isinstance(error, Abandoned):
        error = error.__context__
    return error


def _worked(words: list[str]) -> int:
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
        verb = VERBS[words[0]]
        for path in plugins(words[0], words[1:]):
            load_plugin(path)
        keep_freed_memory()
        return verb(words[1:])
    except SystemExit as exit:  # --help of a verb
        return int(exit.code or 0)
    except InputError as error:
        if told_here(error):
            tell(f"{PROG}: {' '.join(str(error).split())}")
        return 2
    except BrokenPipeError:  # who reads our output, such as `head`, has seen enough
        return 0
