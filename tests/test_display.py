"""What a notebook shows: grids, tables, curves and bars; as text, everything is as it was."""

from __future__ import annotations

import io
import pickle
import re
import signal
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import counterfeit as cf
from counterfeit.comparison.shown import Compared
from counterfeit.data.shown import MOST_PIXELS, Batch
from counterfeit.report.records import Comparison, of_json, to_json
from counterfeit.system import console, notebook
from counterfeit.system.signals import Interrupted
from report_cases import comparison

QUICK = {"batch_size": 8, "latent": 4, "encoder_width": 4, "decoder_width": 4, "quiet": True, "log_every": 1}
IMAGES = np.random.default_rng(0).integers(0, 256, (32, 28, 28), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cf.Run:
    home = tmp_path_factory.mktemp("<i>shown")  # a name that would be markup
    return cf.train("cvae", IMAGES, labels=np.arange(32) % 4, epochs=2, out=home / "run", **QUICK)


def png_size(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        return image.size


def test_images_are_an_array_that_shows_its_grid(run: cf.Run) -> None:
    images = run.sample(6, seed=1)
    assert isinstance(images, np.ndarray) and repr(images) == repr(np.asarray(images)) and str(images)[0] == "["
    with Image.open(io.BytesIO(images._repr_png_())) as grid:
        pixels = np.asarray(grid)
    assert pixels.shape == (2 * 58 + 2, 3 * 58 + 2)  # 28 pixels twice as large, three a row
    assert np.array_equal(pixels[2:58:2, 2:58:2], images[0, 0])
    with Image.open(io.BytesIO(cf.load_data(IMAGES)._repr_png_())) as grid:
        assert grid.size == (6 * 58 + 2, 6 * 58 + 2)
    z = run.noise(2, seed=0)
    between = run.interpolate(z, z, steps=5)
    assert png_size(between._repr_png_()) == (5 * 58 + 2, 2 * 58 + 2)  # a path per row
    for other in (images.astype(float), images[:, 0], images[:0]):
        assert other._repr_png_() is None
    assert isinstance(images.mean(), float) and type(pickle.loads(pickle.dumps(images))) is np.ndarray
    assert type(images + 1) is type(np.asarray(images)) is np.ndarray
    assert all(type(some) is Batch for some in (images[:2], images.astype(float), images.T))
    assert np.array_equal(run.decode(z)[:1], run.decode(z[:1]))


def test_a_grid_of_large_images_is_thinned_out() -> None:
    """A notebook holds what it shows: about MOST_PIXELS, whatever the images are."""
    ramp = np.broadcast_to((np.arange(1024) // 4).astype(np.uint8), (150, 1, 1024, 1024))
    with Image.open(io.BytesIO(ramp.view(Batch)._repr_png_())) as grid:
        assert grid.size == (10 * 205 + 2 * 11, 10 * 205 + 2 * 11)  # 100 images of every fifth pixel
        assert np.array_equal(np.asarray(grid)[2, 2:207], ramp[0, 0, 0, ::5])
    path = np.broadcast_to(np.uint8(7), (1, 400, 3, 64, 64)).view(Batch)
    assert png_size(path._repr_png_()) == (100 * 66 + 2, 66 + 2)
    for shape in ((1, 3, 5000, 3000), (100, 1, 4000, 8), (3, 3, 8, 90000)):
        width, height = png_size(np.broadcast_to(np.uint8(7), shape).view(Batch)._repr_png_())
        assert width * height < 1.5 * MOST_PIXELS, shape


def test_a_run_shows_grid_curves_and_last_losses(run: cf.Run) -> None:
    page = run._repr_html_()
    assert page.count("data:image/png;base64,") == 2 and "finished, epoch 2, step 8" in page
    assert all(f">{name}</td>" in page for name in run.log[0] if name not in ("epoch", "step", "images_per_s"))
    assert "<i>" not in page and "&lt;i&gt;shown" in page
    (run.folder.curves).rename(run.path / "moved.png")
    assert run._repr_html_().count("data:image/png;base64,") == 1
    (run.path / "moved.png").rename(run.folder.curves)


def test_figures_are_those_of_matplotlib(run: cf.Run) -> None:
    curves = run.plot()
    assert isinstance(curves, Figure)
    drawn = {line.get_label(): line.get_xydata() for line in curves.axes[0].lines}
    logged = [row for row in run.log if "images_per_s" in row]
    name = next(iter(logged[0].keys() - {"epoch", "step", "images_per_s"}))
    assert np.allclose(drawn[name], [(row["step"], row[name]) for row in logged])
    shown = run.show(8, seed=3)
    grid = np.asarray(shown.axes[0].images[0].get_array())
    assert np.array_equal(grid[2:58:2, 2:58:2], run.sample(8, seed=3)[0, 0])  # scaled by 2
    for figure in (curves, shown):
        assert png_size(figure._repr_png_())[0] > 300


def test_a_score_shows_its_table_and_receipt() -> None:
    scored = {
        "FID[<x>]": {
            **{"value": 12.345, "uncertainty": 0.5, "uncertainty_kind": "se", "floor": 1.0, "better": "lower"},
            **{"extras": {}, "notes": ["too few"], "floor_std": 0.1, "floor_draws": 3},
        }
    }
    score = cf.Score(msgspec_scored(scored), {"notes": ["not finished"], "n": 7})
    page = score._repr_html_()
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", page)]
    assert cells == ["FID[&lt;x&gt;]", "12.35", "0.5", "1.00 ± 0.10", "lower"]
    assert "<p" in page and "FID[&lt;x&gt;]: too few" in page and "not finished" in page and "&#34;n&#34;: 7" in page
    assert score.table().splitlines()[1:] == [
        "FID[<x>]  12.35  0.5        1.00 ± 0.10  lower",
        "FID[<x>]: too few",
        "not finished",
    ]


def msgspec_scored(values: dict[str, Any]) -> Any:
    import msgspec

    from counterfeit.scoring.score import Scored

    return msgspec.convert(values, dict[str, Scored])


def test_a_comparison_is_a_dict_with_tables_and_a_plot() -> None:
    found = of_json(comparison(), Comparison)
    shown = Compared.of(found)
    assert shown == to_json(found) and isinstance(shown, dict) and repr(shown) == repr(dict(shown))
    page = shown._repr_html_()
    assert page.count("<table>") == len(found.tables)
    assert all(row.label in page.replace("&#39;", "'") for table in found.tables for row in table.rows)
    figure = shown.plot()
    assert len(figure.axes) == len(found.tables)
    table, axes = found.tables[0], figure.axes[0]
    points = [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    assert points == [row.metrics[table.ranked_by].values for row in table.rows]
    assert png_size(figure._repr_png_())[0] > 300
    with pytest.raises(cf.InputError, match="no score 'fid'; did you mean 'FID'"):
        shown.plot("fid")


class Kernel:
    """A stand-in for IPython in a kernel: what was displayed."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        module: Any = types.ModuleType("IPython")
        module.get_ipython = lambda: types.SimpleNamespace(kernel=True)
        display: Any = types.ModuleType("IPython.display")
        display.HTML, display.display = str, self.display
        self.modules = {"IPython": module, "IPython.display": display}

    def display(self, html: str, display_id: bool) -> Any:
        return types.SimpleNamespace(update=self.shown.append)


def test_bars_are_html_in_a_notebook(monkeypatch, capsys, tmp_path: Path) -> None:
    kernel = Kernel()
    for name, module in kernel.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(notebook, "PAUSE", 0.0)
    cf.train("vae", IMAGES, epochs=1, out="run", **{**QUICK, "quiet": False})
    assert 'value="3" max="4"' in kernel.shown[2] and "step 3/4  " in kernel.shown[2] and kernel.shown[-1] == ""
    assert "epoch   1/1  " in capsys.readouterr().err  # the lines are there all the same
    kernel.shown.clear()
    with console.progress("<b>", 4) as advance:
        advance(1), advance(2)
    assert ["&lt;b&gt;: 1" in kernel.shown[0], 'value="3.0" max="4"' in kernel.shown[1]] == [True, True]
    assert capsys.readouterr().err == ""


def test_errors_of_the_user_are_a_line_in_a_notebook() -> None:
    assert cf.InputError("no\nsuch")._render_traceback_() == ["InputError: no such"]
    assert Interrupted("stopped")._render_traceback_() == ["Interrupted: stopped"]


def test_ctrl_c_stops_at_a_step_with_a_checkpoint(monkeypatch, tmp_path: Path) -> None:
    """As in a cell: the signal comes while a call from Python trains, whose handlers are Python's own."""
    from counterfeit.runs import RunFolder

    append = RunFolder.append_log

    def and_interrupt(self: RunFolder, row: Any) -> None:
        append(self, row)
        if row.step == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunFolder, "append_log", and_interrupt)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3 with a checkpoint"):
        cf.train("vae", IMAGES, epochs=2, out="run", **QUICK)
    monkeypatch.undo()
    run = cf.train("vae", IMAGES, epochs=2, out=tmp_path / "run", resume=True, **QUICK)
    assert run.weights_sha256 == cf.train("vae", IMAGES, epochs=2, out=tmp_path / "whole", **QUICK).weights_sha256
