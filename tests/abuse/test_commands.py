"""Any verb with any options: values that fit, values at the edge, values that are no values at all."""

from __future__ import annotations

import dataclasses
import typing

from ground import attempt, ground, judged
from hypothesis import given
from hypothesis import strategies as st

from counterfeit.cli import options
from counterfeit.cli.dispatch import VERBS
from counterfeit.metrics import METRICS
from counterfeit.models import MODELS

WORDS = ["", " ", "-", "--", "nan", "None", "true", "\\x00", "🦜", "a,b", "a b", "$(id)", "%s", "\x1b[31m", "x" * 300]
WHOLE = [
    "-1",
    "0",
    "1",
    "2",
    "3",
    "8",
    "1.5",
    "1e3",
    "1_0",
    "0x10",
    "٣",
    "inf",
    *map(str, (2**31, 2**32, 2**63, 2**64, 10**30)),
]
FRACTIONS = ["-1", "0", "0.5", "1", "2", "1e-320", "1e308", "1e999", "nan", "-inf", "1,5", *WORDS[:5]]
PATHS = [
    "run",
    "run/samples",
    "photos",
    "photos/a",
    "photos/a/0.png",
    "own.npz",
    "notes.txt",
    "thesis",
    "grid.toml",
    ".",
    "..",
    "/",
    "~",
    "~nosuchuser/x",
    "nothing",
    "nothing/x",
    "/dev/null",
    "/proc/self/mem",
    "a\nb",
    "a" * 300,
    "mnist5k",
    "mnist5k:test",
    "mnist5k:",
    ":train",
    "file:///tmp/x y",
    "s3://",
    "memory://x",
    "own.npz:train",
    "",
    "con",
    "a|b",
    "*.png",
    "out.npz",
]
OUTPUTS = [
    "out",
    "out.png",
    "out.npz",
    "out/deep/er",
    "notes.txt",
    "thesis",
    "run",
    "photos",
    "own.npz",
    "grid.toml",
    "out.gif",
    "out.npy",
    "",
    ".",
    "/",
    "/dev/full",
    "/proc/x",
    "a" * 300,
    "a\nb",
    "notes.txt/x",
    "~nosuchuser/x",
    "out.html",
    "x\u202ey",
]
MINE = ["notes.txt", "thesis", "photos", "own.npz", "grid.toml"]
KNOWN = {
    "model": [*MODELS, "VAE", *WORDS],
    "source": PATHS, "sources": PATHS, "run": PATHS, "runs": PATHS, "real": PATHS, "data": PATHS,
    "out": OUTPUTS,
    "detector": ["auto", "mnist-cnn", "cifar10-cnn", "MNIST-CNN", "notes.txt", "own.npz", *WORDS],
    "metrics": [*METRICS, "fid, kid", "FID", "fid,fid", ",", *WORDS],
    "device": ["cpu", "auto", "CPU", "cpu:7", "cuda", "cuda:99", "meta", "hpu", "mps", "privateuseone", *WORDS],
    "weights": PATHS,
    "engine": ["local", "ray", *WORDS],
    "epochs": ["-1", "0", "1", "2", "1.5", *WORDS],
    "k": ["-1", "0", "1", "5", *WORDS],
    "workers": ["-1", "0", "1", *WORDS],
    "repeats": ["-1", "0", "1", "2", *WORDS],
    "n": ["-1", "0", "1", "2", "8", "1.5", str(10**12), str(10**30), *WORDS],
}  # fmt: skip
# What makes a run of every training and a matter of a second of every score; what is drawn comes after it, and counts.
SMALL = {
    "train": [
        "--data",
        "own.npz",
        "--epochs",
        "1",
        "--batch-size",
        "8",
        "--encoder-width",
        "8",
        "--decoder-width",
        "8",
    ],
    "score": ["-n", "8", "--metrics", "fid", "--detector", "mnist-cnn"],
    "cas": ["-n", "8"],
    "likelihood": ["-k", "2", "-n", "2"],
    "sample": ["-n", "4"],
    "stats": ["-n", "8", "--detector", "mnist-cnn"],
    "compare": ["-n", "8", "--metrics", "fid", "--detector", "mnist-cnn"],
    "report": ["-n", "8", "--metrics", "fid", "--detector", "mnist-cnn"],
}
PLACED = {"train": "vae", "sample": "run", "score": "run", "cas": "run", "likelihood": "run", "compare": "run",
          "report": "run", "stats": "own.npz"}  # fmt: skip


def fields_of(kind: type) -> list[tuple[str, str]]:
    """Every option's name and its type as it is written, those of a nested group of settings too."""
    found = []
    for field in dataclasses.fields(kind):
        group = typing.get_type_hints(kind)[field.name]
        if dataclasses.is_dataclass(group):
            found += fields_of(group)
        else:
            found.append((field.name, str(field.type)))
    return found


def values(name: str, kind: str) -> list[str]:
    """What is tried for an option."""
    if name in KNOWN:
        return KNOWN[name]
    return WHOLE if "int" in kind else FRACTIONS if "float" in kind else WORDS


@st.composite
def lines(draw: st.DrawFn, verb: str) -> list[str]:
    """A command line: the verb, what it is about, and up to three options."""
    kind = getattr(options, verb.capitalize())
    chosen = fields_of(kind)
    placed = next((name for name, kind in chosen if "Positional" in kind), None)
    words = [verb]
    if placed is not None:
        about = st.sampled_from(KNOWN.get(placed, WORDS))
        words.append(draw(about) if draw(st.booleans()) else PLACED.get(verb, "all"))
    words += SMALL.get(verb, [])
    rest = [(name, kind) for name, kind in chosen if name not in (placed, "compile")]  # which takes minutes
    for name, kind in draw(st.lists(st.sampled_from(rest), max_size=3, unique=True)) if rest else []:
        flag = "-" + name if len(name) == 1 else "--" + name.replace("_", "-")
        words.append(flag)
        words += (
            [] if "bool" in kind else [draw(st.sampled_from(values(name, kind))) for _ in range(1 + ("tuple" in kind))]
        )
    return words


def may_change(words: list[str]) -> list[str]:
    """What a command line allows to be written: its --out, the run that it is about, the places that are its own."""
    told = [b for a, b in zip(words, words[1:], strict=False) if a == "--out"]
    return [
        "run",
        "runs",
        "comparison",
        "grid",
        "report.html",
        *(path for path in told if path not in MINE and path not in (".", "")),
    ]


def tried(verb: str, words: list[str], built, place) -> None:
    with ground(built, place) as home:
        judged(f"command {verb}", attempt(words, home), may_change(words))


def _add(verb: str) -> None:
    @given(words=lines(verb))
    def test(words, built, tmp_path_factory):
        tried(verb, words, built, tmp_path_factory.getbasetemp() / "place")

    globals()[f"test_{verb}"] = test


for _verb in VERBS:
    if _verb not in ("app", "judge"):  # which end by a signal only; what they refuse is in their tests
        _add(_verb)
