"""Black and white images out of gray ones, drawn once or at every step."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import counterfeit as cf
from counterfeit.data import binarize
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.settings import having, spelled_here
from counterfeit.system.noise import Noise
from counterfeit.training import ends
from counterfeit.training.loop import run_steps
from counterfeit.training.sample_grids import shown_of
from counterfeit.training.state import State
from counterfeit.training.trainer import Stepped, Training


def every_gray(n: int) -> np.ndarray:
    """n images of 16x16 pixels, of all gray values each."""
    return np.tile(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), (n, 1, 1, 1))


def test_a_pixel_is_white_as_often_as_it_is_bright() -> None:
    """8,000 draws of each gray value, both ways: within 4.5 standard deviations (256 x 2 draws: a chance of 0.3 %)."""
    n, images = 8000, every_gray(8000)
    p = np.arange(256) / 255
    drawn = {
        "fixed": binarize.fixed(images, "train") / 255,
        "dynamic": binarize.draw(torch.from_numpy(images), Noise.seeded(0)).numpy(),
    }
    for how, values in drawn.items():
        assert set(np.unique(values)) == {0, 1}, how
        mean = values.reshape(n, 256).mean(0)
        assert (np.abs(mean - p) <= 4.5 * np.sqrt(p * (1 - p) / n)).all(), how  # black and white: exactly
        neighbors = np.corrcoef(values[:-1, 0, 8, 0], values[1:, 0, 8, 0])[0, 1]
        assert abs(neighbors) < 4.5 / math.sqrt(n), how


def test_fixed_draws_are_a_function_of_split_index_and_pixel() -> None:
    images = every_gray(2500)
    drawn = binarize.fixed(images, "test")
    assert drawn.dtype == np.uint8 and np.array_equal(binarize.fixed(images, "test"), drawn)
    assert np.array_equal(binarize.fixed(images[:1234], "test"), drawn[:1234])
    assert not np.array_equal(binarize.fixed(images, "train"), drawn)
    assert np.array_equal(binarize.fixed(drawn, "train"), drawn), "black and white images pass unchanged"
    # Pinned: another NumPy that draws otherwise would silently change every static run and every evaluation.
    digest = hashlib.sha256(drawn.tobytes()).hexdigest()
    assert digest == "87d33e7d6451b57f3ce38b8e0b0bffe043470672c4997d094ccaef62418899ec"


@pytest.mark.parametrize("how", ["static", "dynamic", "none"])
def test_static_training_sees_the_same_pixels_in_every_epoch_and_dynamic_does_not(how: str, tmp_path: Path) -> None:
    images = every_gray(10)
    shown: list[Tensor] = []
    config = MODELS["vae"].settings.replace({"epochs": 3, "batch_size": 10, "binarize": how, "data": "array"})
    training = Training("vae", config, RunFolder(tmp_path / "run"), array=images)
    step = training.model.step

    def recording(batches, *rest):
        shown.append(batches[0].x.flatten(1).clone())
        return step(batches, *rest)

    training.model.step = recording  # type: ignore[method-assign]
    list(training.events())
    one, two, three = (epoch[epoch.argsort(0)[:, 0]].sum(0) for epoch in shown)  # whatever the order: counts by pixel
    assert torch.equal(one, two) == torch.equal(two, three) == (how != "dynamic")
    values = set(torch.cat(shown).unique().tolist())
    assert values == {0.0, 1.0} if how != "none" else len(values) == 256
    if how == "static":
        assert torch.equal(one, torch.from_numpy(binarize.fixed(images, "train") / 255).float().flatten(1).sum(0))


def test_a_run_is_asked_about_the_static_pixels_that_it_is_trained_on(tmp_path: Path) -> None:
    """Of 600 images 256 are looked at, whose draws are those of their places among all."""
    config = MODELS["vae"].settings.replace({"binarize": "static", "data": "array"})
    training = Training("vae", config, RunFolder(tmp_path / "run"), array=every_gray(600))
    pixels, _ = ends.examples(training, training.data)
    fed, _ = training.fed()
    assert np.array_equal(pixels, fed[shown_of(600, 256)]) and len(pixels) == 256


@pytest.mark.parametrize(("name", "how"), [("vae", "dynamic"), ("vae", "static"), ("cvae", "dynamic")])
def test_a_stopped_run_goes_on_exactly(name: str, how: str, digits, tmp_path: Path) -> None:
    """Stopped after step 5 of 3 x 4, in the middle of an epoch; everything that a checkpoint holds, bit for bit."""
    images, labels = digits[0][:256], digits[1][:256]
    config = MODELS[name].settings.replace({"data": "array", "epochs": 3, "batch_size": 64, "binarize": how})

    def training(folder: str, resume: bool = False) -> Training:
        return Training(name, config, RunFolder(tmp_path / folder), resume=resume, array=images, labels=labels)

    list(training("whole").events())
    seen: list[object] = []
    for event in training("parts").events(lambda: sum(isinstance(e, Stepped) for e in seen) >= 5):
        seen.append(event)
    list(training("parts", resume=True).events())

    def tensors(folder: str) -> dict[str, Tensor]:
        groups = load_checkpoint(tmp_path / folder / "checkpoint", ("model", "training"))
        return {f"{g}/{key}": tensor for g, group in groups.items() for key, tensor in group.items()}

    whole, parts = tensors("whole"), tensors("parts")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], tensor) for key, tensor in parts.items())


def test_gray_training_draws_as_before(digits) -> None:
    """The option's default touches no noise: the same losses as with a loop that knows nothing of it."""
    images = torch.from_numpy(digits[0][:256])
    config = MODELS["vae"].settings.replace({"epochs": 1})
    state = State.fresh(build(MODELS["vae"], config, (1, 28, 28), 0), config, torch.device("cpu"))
    list(run_steps(state, images, None, config))
    rng = torch.Generator().manual_seed(config.seed)
    for _ in range(2):
        torch.randn(128, 15, generator=rng)
    assert torch.equal(state.rng.generator.get_state(), rng.get_state())


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if "binarize" not in having(spec.settings)])
def test_who_cannot_binarize_refuses_the_option(name: str, command, tmp_path: Path) -> None:
    shown = command("train", name, "--binarize", "dynamic", "--out", tmp_path / "run")
    takers = [other for other, spec in MODELS.items() if "binarize" in having(spec.settings)]
    assert shown.code == 2
    assert f"{name} has no --binarize: leave it out, or train one of {', '.join(takers)}" in shown.err
    assert len(shown.err.splitlines()) == 1 and not (tmp_path / "run").exists()
    with pytest.raises(cf.InputError, match="has no --binarize"):
        cf.train(name, out=tmp_path / "run", binarize="static")


def test_another_word_is_refused(command) -> None:
    shown = command("train", "vae", "--binarize", "dynamo")
    assert shown.code == 2 and "'none', 'static', 'dynamic'" in shown.err


def test_the_former_spelling_is_taken(command, tmp_path: Path) -> None:
    """Of the option, of the keyword, and of run.json's setting (see test_old_runs.py)."""
    refused = command("train", "gan", "--binarise", "static").err, command("train", "vae", "--binarise", "dynamo").err
    assert "gan has no --binarize" in refused[0] and "dynamo" in refused[1] and "Unrecognized" not in refused[1]
    assert MODELS["vae"].settings.replace({"binarise": "static"}).binarize == "static"


def test_the_name_of_papers_is_taken(command, tmp_path: Path) -> None:
    """`--beta` is what every paper on the beta-VAE calls its --kl-weight; a model with a `beta` of its own keeps it."""
    refused = command("train", "gan", "--beta", "4").err, command("train", "beta-vae", "--beta=four").err
    assert "gan has no --kl-weight" in refused[0] and "--kl-weight" in refused[1] and "four" in refused[1]
    assert MODELS["beta-vae"].changed(MODELS["beta-vae"].settings, {"beta": 100.0}).kl_weight == 100.0
    assert spelled_here({"beta": 1.0}, {"beta"}) == {"beta": 1.0}
