"""What README and docs promise is run: their Python blocks, their commands, their links."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.data import named
from counterfeit.detectors.training import RECIPES
from counterfeit.models import MODELS
from counterfeit.scoring import cas as cas_module
from counterfeit.training import few
from loop_cases import KINDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Of models that are asked the same things in the same way one page is run; `make full` runs all.
RUN = [pytest.param(page, marks=pytest.mark.full) if page.stem in set(MODELS) - set(KINDS) else page for page in PAGES]


def thin(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """Leave of mnist5k only every so many of its images, of each digit the same number; they are few for all that."""
    read = named._read
    monkeypatch.setattr(few, "STEPS", 2)
    monkeypatch.setattr(named, "_read", lambda *of: [part[::every] for part in read(*of)])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def smaller(text: str) -> str:
    """The same on less: mnist5k for MNIST and CIFAR-10, one epoch, few images to score."""
    text = re.sub(r"(counterfeit (?:score|cas|compare|report)\b.* -n )\d+", r"\g<1>150", text)
    text = re.sub(r"counterfeit (score|cas|compare|report)\b(?!.* -n )", r"counterfeit \1 -n 150", text)
    text = re.sub(r"\bn=\d{4,}", "n=150", text)
    for name, spec in MODELS.items():  # as it is small enough for tests
        typed = "".join(f" --{key.replace('_', '-')} {value}" for key, value in spec.small.items())
        text = re.sub(rf"counterfeit train {name}(?![\w-])", rf"\g<0>{typed}", text)
        for call in re.findall(rf"cf\.train\(\"{name}\",[^)]*", text):
            given = "".join(f", {key}={value!r}" for key, value in spec.small.items() if f"{key}=" not in call)
            text = text.replace(call, call + given)
    text = re.sub(r"(--steps )\d+|(\bsteps=)\d{3,}", r"\1\g<2>2", text)
    text = re.sub(r"(images\[:)1000\b", r"\g<1>200", text)
    text = re.sub(r"(?<!fashion-)\b(mnist|cifar10)\b(?!-cnn|-data)", "mnist5k", text)
    return re.sub(r"(--epochs[ =]|epochs=)\d+", r"\g<1>1", text)


def test_the_contract_of_the_design(tmp_path: Path) -> None:
    """The Python interface that users, tests and tools rely on, to the letter; on 5,000 digits and for one epoch."""
    run = cf.train("vae", data="mnist5k", epochs=1)
    images = run.sample(64, seed=0)
    assert images.dtype == np.uint8 and images.shape == (64, 1, 28, 28)
    again = cf.load("runs/vae-mnist5k-s0")
    assert np.array_equal(again.sample(64, seed=0), images)
    array, labels = cf.load_data("mnist5k").images[:200], cf.load_data("mnist5k").labels[:200]
    assert cf.train("cvae", data=array, labels=labels, epochs=1, out="x").data.classes == tuple("0123456789")[:1]


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_python_blocks_run(page: Path, monkeypatch) -> None:
    thin(monkeypatch, 3)  # one page trains on every tenth of what remains, in batches of 128
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(smaller(block), str(page), "exec"), names)


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_commands_run(page: Path, command, monkeypatch) -> None:
    """Every line of a `sh` block that starts with `counterfeit`, in order, in one folder."""
    thin(monkeypatch, 12)
    quick = replace(RECIPES["mnist"], epochs=1)
    monkeypatch.setattr(cas_module, "recipe_for", lambda data, channels: quick)
    for block in blocks(page, "sh"):
        for line in smaller(block).replace("\\\n", " ").splitlines():
            if line.startswith("counterfeit "):
                outcome = command(*shlex.split(line, comments=True)[1:])
                assert outcome.code == 0, f"{line}\n{outcome.err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text()):
        path = target[0] or target[1]
        if not path.startswith(("http", "mailto")):
            assert (page.parent / path).exists(), path


def test_make_verbs_that_are_named_exist() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", page.read_text(), flags=re.MULTILINE))
        assert {a or b for a, b in named} <= verbs, page
