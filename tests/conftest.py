"""Shared by all tests: a cache that outlives a test run, real digits, and the command line in this process."""

from __future__ import annotations

import os
import sys

# `make test` has a process for every core: threads of theirs would wait for each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.cli.dispatch import main
from counterfeit.models import MODELS, plugins
from grid_cases import GRID
from kind_cases import of_every_kind

BUILD = Path(__file__).parent.parent / "build"

# Files that take longest, though they have few tests: they go first, so that no process is left alone with one of them
# in the end (make test gives a file at a time to each).
FIRST = ("readme", "training", "score", "models", "plugins", "engines", "environments", "report", "precision", "kill")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of FIRST, then the others as they were."""
    order = {f"test_{name}": place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(FIRST)))


@pytest.fixture(scope="session")
def test_cache() -> Path:
    """Downloads go here once, so that a second test run needs no network."""
    return Path(os.environ.get("COUNTERFEIT_TEST_CACHE", BUILD / "test-cache"))


@pytest.fixture(autouse=True)
def use_test_cache(test_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test touches the user's cache or leaves a run in the checkout."""
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(test_cache))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def sample_quickly() -> None:
    """Models with options of sampling draw in as few steps as their specs say for tests."""
    for name, spec in MODELS._things.items():
        MODELS._things[name] = replace(spec, sampling=spec.sampling_with(spec.small_sampling))


@pytest.fixture(autouse=True)
def forget_plugins(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Models that a test adds end with it; or earlier, when it calls this."""
    known = dict(MODELS._things)

    def forget() -> None:
        monkeypatch.setattr(MODELS, "_things", dict(known))
        for name in ("_of_model", "_files", "_given"):
            monkeypatch.setattr(plugins, name, {})
        for module in [name for name in sys.modules if name.startswith("counterfeit_plugin_")]:
            monkeypatch.delitem(sys.modules, module)

    forget()
    return forget


@pytest.fixture(autouse=True)
def seed_torch() -> None:
    """What a test draws without a generator of its own is the same whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> dict[str, cf.Run]:
    """A run of a model of every kind, to be read, the same ones for all tests and their processes."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        return of_every_kind((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "every-kind")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache that is this test's own, where nothing is yet."""
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    """An empty folder for images."""
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,000 real MNIST digits, 100 a class: uint8 (1000, 1, 28, 28) and labels."""
    data = cf.load_data("mnist5k")
    chosen = np.random.default_rng(0).permutation(
        np.concatenate([np.flatnonzero(data.labels == c)[:100] for c in range(10)])
    )
    return data.images[chosen], data.labels[chosen]


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `counterfeit …` in this process (a new one would spend two seconds importing torch)."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([str(word) for word in words])
        text = capsys.readouterr()
        return Outcome(int(exit.value.code or 0), text.out, text.err)

    return run


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the small grid, trained without disturbance in one process, and its comparison."""
    home = tmp_path_factory.mktemp("grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        Path("small.toml").write_text(GRID)
        return home, cf.compare("small.toml")
