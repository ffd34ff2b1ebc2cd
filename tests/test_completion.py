"""Completion in a shell: a real bash completes, and what it knows is what --help says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from counterfeit.cli.completion import SHELLS, Words, known
from counterfeit.cli.dispatch import VERBS, described
from counterfeit.models import MODELS

BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def places() -> dict[str, Words]:
    """What can be typed where, which takes a second to know."""
    return known(described())


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory, places: dict[str, Words]) -> Path:
    path = tmp_path_factory.mktemp("completion") / "counterfeit.bash"
    path.write_text(SHELLS["bash"](described(), places))
    return path


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
@pytest.mark.parametrize(
    "typed, offered",
    [
        (["sc"], ["score"]),
        (["train", "vae-"], ["vae-tuned", "vae-gan"]),
        (["train", "vae", "--kl"], ["--kl-weight"]),
        (["train", "vae", "--bin"], ["--binarize"]),
        (["train", "--epochs", "3", "flow", "--net", ""], ["patch-unet", "unet", "dit"]),
        (["train", "vae", "--cuda"], []),  # it is on: only --no-cuda-graph does something
        (["train", "vae", "--no-c"], ["--no-cuda-graph"]),
        (["score", "runs/x", "--detector", "mnist"], ["mnist-cnn"]),
        (["train", "vae", "--track", "w"], ["wandb"]),
        (["list", "d"], ["data", "detectors"]),
        (["sample", "--out", "gr"], []),  # a file: bash's own completion goes on
    ],
    ids=" ".join,
)
def test_bash_completes(typed: list[str], offered: list[str], script: Path) -> None:
    words = ["counterfeit", *typed]
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(typed)}; _counterfeit; echo ${{COMPREPLY[*]}}"
    assert BASH is not None
    found = subprocess.run([BASH, "--norc", "-c", asked], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert sorted(found.stdout.split()) == sorted(offered)


@pytest.mark.parametrize("place", ["score", "judge", "train csngan"])
def test_options_are_those_of_help(place: str, places: dict[str, Words], command) -> None:
    """tyro makes both the parser and --help; --no-x stands there in its own way."""
    page = command(*place.split(), "--help").out
    ours = {one.word for one in places[place].options}
    starts = {re.match(r"│ +(?:-\w(?: \w+)?, )*(--[a-z][a-z-]*)", line) for line in page.splitlines()}
    first = {found[1] for found in starts if found}
    assert ours == first


def test_every_verb_and_model_is_there(places: dict[str, Words]) -> None:
    assert {place.split()[0] for place in places} == set(VERBS)
    assert {place.split()[1] for place in places if place.startswith("train ")} == set(MODELS)


def test_fish_and_zsh_are_of_the_same_words(places: dict[str, Words], script: Path) -> None:
    fish = SHELLS["fish"](described(), places)
    assert "-n '__fish_seen_subcommand_from score' -l detector -ra 'auto inception mnist-cnn " in fish
    assert all(line.startswith("complete -c counterfeit -n ") for line in fish.splitlines())
    assert SHELLS["zsh"](described(), places).endswith(script.read_text())


def test_an_unknown_shell_is_one_line(command) -> None:
    assert command("completion", "csh").err.startswith("counterfeit: no shell named 'csh'")
