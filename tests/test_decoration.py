"""Pictures, curves and progress are decoration: whatever goes wrong with one is a line, and the work goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import rich.progress

import counterfeit as cf
from counterfeit.comparison import pictures
from counterfeit.report import charts
from counterfeit.runs import curves
from counterfeit.runs.log import EpochScore, Steps
from counterfeit.system import drawing
from counterfeit.training import ends, sample_grids
from report_cases import comparison, page_of

ROWS = [
    row
    for step in (1, 2)
    for row in (Steps(1, step, {"reconstruction": 9.0 - step, "$x_{": 2.0}, 1.0), EpochScore(1, step, "FID[a$b]", 3.0))
]
# What people have in their matplotlibrc, or set in a notebook.
SETTINGS: list[dict[str, Any]] = [
    {"text.usetex": True},
    {"text.usetex": True, "text.latex.preamble": "\\usepackage{nothing}", "font.family": "NoSuchFont"},
    {"backend": "nbagg"},
    {"backend": "TkAgg"},
    {"savefig.format": "pdf", "savefig.dpi": 9, "figure.dpi": 1, "savefig.bbox": "tight"},
    {"axes.prop_cycle": matplotlib.cycler(color=["#ffffff"]), "path.effects": [], "axes.formatter.use_locale": True},
]


def fails(*arguments: Any, **options: Any) -> Any:
    raise ZeroDivisionError("drawing has failed\nof all things")


@pytest.mark.parametrize(
    "where, name",
    [
        (ends, "draw_samples"),
        (ends, "draw_reconstructions"),
        (sample_grids.pixels, "save_png"),
        (curves, "draw_curves"),
        (drawing, "figure"),
        (matplotlib, "rcdefaults"),
        (rich.progress.Progress, "start"),
        (rich.progress.Progress, "update"),
        (rich.progress.Progress, "add_task"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_training_ends_whatever_cannot_be_drawn(where: Any, name: str, digits, monkeypatch, capsys) -> None:
    monkeypatch.setattr(where, name, fails)
    monkeypatch.setattr(curves, "figure", drawing.figure)
    run = cf.train("vae", digits[0][:128], epochs=2, batch_size=64, out="run")
    monkeypatch.undo()
    assert run.folder.finished() and run.sample(2).shape == (2, 1, 28, 28)
    lines = [line for line in capsys.readouterr().err.splitlines() if "cannot be drawn" in line]
    assert 1 <= len(lines) <= 4 and all("ZeroDivisionError: drawing has failed of all things" in line for line in lines)


def test_train_names_no_curves_that_are_not_there(monkeypatch, command, digits, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=digits[0][:64])
    asked = ("train", "ae", "--data", tmp_path / "own.npz", "--epochs", 1, "--batch-size", 32)
    assert "curves.png" in command(*asked, "--out", tmp_path / "drawn").out
    monkeypatch.setattr(curves, "draw_curves", fails)
    done = command(*asked, "--out", tmp_path / "not")
    assert done.code == 0 and "curves.png cannot be drawn" in done.err and "curves.png" not in done.out


def drawn(path: Path) -> tuple[bytes, str]:
    """A picture of curves and a page, with names that LaTeX would stumble over."""
    curves.draw_curves(path, ROWS, "vae on $x_{\\frac y", "nats per image")
    labels = json.dumps(comparison(data=("$x_{data",))).replace('"label": "gan"', '"label": "ga$_{n"')
    return path.read_bytes(), page_of(json.loads(labels))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    return drawn(tmp_path_factory.mktemp("usual") / "curves.png")


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: next(iter(settings)))
def test_pictures_do_not_depend_on_the_users_settings(
    settings: dict[str, Any], usual: tuple[bytes, str], tmp_path: Path, capsys
) -> None:
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        picture, page = drawn(tmp_path / "theirs.png")
        assert dict(matplotlib.rcParams) == before, "and theirs do not depend on ours"
    assert (picture, page) == usual
    assert page.count("<svg") > 4 and "cannot be drawn" not in capsys.readouterr().err


def test_a_report_without_its_charts(monkeypatch, capsys) -> None:
    monkeypatch.setattr(charts, "strip", fails)
    page = page_of(comparison())
    assert "FID" in page and "charts of mnist for the report cannot be drawn" in capsys.readouterr().err


def test_a_report_of_a_run_whose_pictures_cannot_be_drawn(digits, monkeypatch, capsys) -> None:
    cf.train("vae", digits[0][:128], epochs=1, batch_size=64, out="run", quiet=True)
    np.savez("real.npz", images=digits[0])
    settings: dict[str, Any] = {"real": "real.npz", "n": 100, "metrics": ["fid"], "detector": "mnist-cnn"}
    monkeypatch.setattr(pictures.pixels, "grid", fails)
    found = cf.compare("run", out="found", **settings)
    assert not found["failures"] and "FID" in Path("found/report.html").read_text(encoding="utf-8")
    assert "no picture of samples: ZeroDivisionError" in capsys.readouterr().err
