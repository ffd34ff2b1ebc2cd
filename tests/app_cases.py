"""The app on copies of trained runs, and servers in processes of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import counterfeit as cf
from counterfeit.app import runs
from counterfeit.app.jobs import Queue
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf

BASE = "http://127.0.0.1:8321"
OURS = {"origin": BASE}
SMALL = """
models = ["vae", "gan"]
data = ["mnist5k"]
seeds = [0, 1]
out = "runs/small"
[train]
epochs = 2
batch_size = 500
encoder_width = 16
decoder_width = 16
[train.vae]
score_every = 1
[score]
n = 100
metrics = ["fid"]
"""


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> tuple[Path, dict[str, Any]]:
    """A folder of four runs, two of each of two models, all finished and scored, and their comparison."""
    home = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        Path("small.toml").write_text(SMALL)
        return home / "runs" / "small", cf.compare("small.toml")


@pytest.fixture
def home(tmp_path: Path, shown: tuple[Path, dict[str, Any]]) -> Path:
    """A copy of these runs."""
    shutil.copytree(shown[0], tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def client(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(Queue, "serve", lambda self: None)  # nothing is trained here
    with TestClient(application(Shelf([home])), BASE, headers=OURS) as client:
        yield client


def ids(home: Path) -> dict[str, str]:
    """The ids of the runs by their names."""
    return {run.folder.path.name: run.id for run in Shelf([home]).runs()}


def trainings(home: Path) -> Queue:
    return runs.trainings(Shelf([home]))


def served(home: Path) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address."""
    words = [sys.executable, "-m", "counterfeit", "app", str(home), "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    with server.stdout:
        return server, server.stdout.readline().strip().rstrip("/")
