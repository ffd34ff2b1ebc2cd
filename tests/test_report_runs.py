"""The report of real runs: the pictures of every model, and the verb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit import detectors
from counterfeit.comparison.pictures import draw, of_comparison, paths
from counterfeit.comparison.sheets import Sheets
from counterfeit.models import MODELS
from counterfeit.models.base import Encodes, HasLatents
from loop_cases import KINDS, can
from report_cases import Page, comparison, read


@pytest.fixture
def trained(every_kind: dict[str, cf.Run]) -> dict[str, cf.Run]:
    return every_kind


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


@pytest.mark.parametrize("model", KINDS)
def test_pictures_suit_the_model_and_are_drawn_once(trained: dict[str, cf.Run], model: str) -> None:
    run = trained[model]
    found = paths(run, draw(run))
    expected = {"samples", "nearest", "random", "real"}
    expected |= {"interpolation"} if can(model, HasLatents) else set()
    expected |= {"reconstructions"} if can(model, Encodes) else set()
    expected |= {"classes"} if MODELS[model].conditional and can(model, HasLatents) else set()
    assert found.keys() == expected
    for file in found.values():
        with Image.open(file) as image:
            assert image.mode == "L" and image.width == 10 * 29 + 1 and file.parent == run.folder.samples / "report"
    # The first samples are those that `sample` gives, and the same in both pictures.
    sheet, below = (pixels(found[kind]) for kind in ("samples", "random"))
    np.testing.assert_array_equal(sheet[1:29, 1:29], run.sample(50, seed=0)[0, 0])
    np.testing.assert_array_equal(sheet[:29], below[:29])
    before = {kind: file.stat().st_mtime_ns for kind, file in found.items()}
    assert {kind: file.stat().st_mtime_ns for kind, file in paths(run, draw(run)).items()} == before


def test_an_array_has_pictures_of_what_needs_no_real_images(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = digits
    run = cf.train("cvae", data=images, labels=labels, epochs=1, out=tmp_path / "run", quiet=True, latent=2)
    drawn = draw(run)
    assert drawn.files.keys() == {"samples", "classes"}
    assert all("array" in sentence and str(run.path) in sentence for sentence in drawn.left_out)
    whole = comparison(models=["vae", "gan"], seeds=1)
    whole["runs"] = []
    for row, path in zip(whole["tables"][0]["rows"], (run.path, tmp_path / "none"), strict=True):
        row["runs"] = [str(path)]
    with of_comparison(read(whole)) as (found, notes):
        assert found[str(run.path)].keys() == {"samples", "classes"}
    assert any("is not a run" in note for note in notes) and any("array" in note for note in notes)


def test_the_verb_scores_what_has_no_score_and_writes_the_page(
    trained: dict[str, cf.Run], command: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "page.html"
    done = command("report", trained["gan"].path, trained["vae"].path, "--out", out, "-n", 200, "--metrics", "fid,is")
    assert done.code == 0 and done.out.strip() == str(out)
    titled = cf.report(trained["gan"].path, tmp_path / "titled.html", title="A <b>GAN", n=200, metrics="fid,is")
    page = (tmp_path / "titled.html").read_text()
    assert titled["title"] == "A <b>GAN" and "<h1>A &lt;b&gt;GAN</h1>" in page
    with pytest.raises(cf.InputError, match="--title is empty"):
        cf.report(trained["gan"].path, tmp_path / "titled.html", title=" ")
    text = Page(out.read_text()).text
    assert "FID" in text and str(trained["vae"].path) in text
    for words_, told in (
        ([], "nothing to compare"),
        ([tmp_path], "is not a run"),
        ([trained["gan"].path, "--out", tmp_path], "--out"),
    ):
        wrong = command("report", *words_)
        assert wrong.code == 2 and told in wrong.err and wrong.err.count("\n") == 1


def test_of_very_many_training_images_the_nearest_is_sought_in_a_seeded_choice(
    trained: dict[str, cf.Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("counterfeit.scoring.images.MOST_REAL", 200)
    sheets = Sheets(trained["vae"])
    _, _, found = sheets.neighbors
    assert "nearest images are searched in 200 of its 600 images, a random subset" in capsys.readouterr().err
    images = cf.load_data("mnist5k").images[::8][:600]
    chosen = images[np.sort(np.random.default_rng(0).permutation(600)[:200])]
    detector = detectors.load("fashion-cnn", device="cpu")
    of_samples, of_chosen = (detector(some).features.astype(float) for some in (sheets.samples[:50], chosen))
    nearest = ((of_samples[:, None] - of_chosen) ** 2).sum(axis=2).argmin(axis=1)
    assert np.array_equal(found[:50], chosen[nearest])
