"""Bounds on the likelihood of runs: in Python and by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import counterfeit as cf
from counterfeit.data import binarize
from counterfeit.models.base import HasBound
from counterfeit.models.build import able
from counterfeit.models.vae.model import VAE
from counterfeit.scoring.likelihood import Likelihood

NARROW = {"encoder_width": 32, "decoder_width": 32, "quiet": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory, test_cache) -> cf.Run:
    """One epoch of 30 steps on dynamically binarized MNIST."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        out = tmp_path_factory.mktemp("runs") / "vae"
        return cf.train("vae", "mnist", out=out, epochs=1, batch_size=2000, binarize="dynamic", **NARROW)


def test_the_test_loss_is_that_of_black_and_white_test_images(run: cf.Run) -> None:
    """Against the formulas written out in float64; the reconstruction, whose noise is other, within that of draws."""
    gray = cf.load_data("mnist", "test").images
    x = torch.from_numpy(binarize.fixed(gray, "test")) / 255
    assert isinstance(run.model, VAE)
    with torch.inference_mode():
        kl, of_gray = (
            torch.distributions.kl_divergence(_posterior(run.model, pixels), torch.distributions.Normal(0.0, 1.0))
            .sum(1)
            .mean()
            .item()
            for pixels in (x, torch.from_numpy(gray) / 255)
        )
        posterior, noise, nll = _posterior(run.model, x), torch.Generator().manual_seed(0), []
        for _ in range(8):
            z = torch.normal(posterior.mean, posterior.stddev, generator=noise)
            logits = run.model.decoder(z.float(), None).double()
            nll.append(-torch.distributions.Bernoulli(logits=logits).log_prob(x.double()).sum((1, 2, 3)).mean().item())
    last = run.log[-1]
    assert last["test_kl"] == pytest.approx(kl, rel=1e-5)
    assert last["test_kl"] != pytest.approx(of_gray, rel=1e-3)
    # One draw against the mean of eight: four standard deviations, about 0.2 %.
    assert last["test_reconstruction"] == pytest.approx(np.mean(nll), abs=4 * np.std(nll, ddof=1) * (1 + 1 / 8) ** 0.5)


def _posterior(model: VAE, x: Tensor) -> torch.distributions.Normal:
    mu, logvar = model.posterior(x)
    return torch.distributions.Normal(mu.double(), (logvar.double() / 2).exp())


def test_a_run_bounds_the_likelihood_of_its_test_images(run: cf.Run, command) -> None:
    shown = command("likelihood", run.path, "-k", 20, "-n", 50, "--seed", 1, "--json")
    assert shown.code == 0
    told = json.loads(shown.out)
    found = run.likelihood(20, 50, seed=1)
    assert isinstance(found, Likelihood) and found.binarized
    assert told["metrics"] == json.loads(json.dumps(found.to_dict()))["metrics"]
    assert list(told["metrics"]) == ["IWAE-20", "ELBO", "rate", "distortion", "active units"]
    assert told["metrics"]["IWAE-20"]["value"] == found.iwae.mean >= found.elbo.mean
    receipt = told["receipt"]
    data = cf.load_data("mnist", "test")
    assert receipt["real"] == {"name": "mnist", "split": "test", "n": 10_000, "digest": data.digest}
    assert (receipt["k"], receipt["n"], receipt["seed"]) == (20, 50, 1)
    assert (receipt["pixels"], receipt["trained_with_binarise"]) == ("black and white", "dynamic")
    assert {"versions", "machine", "time", "command", "code_revision", "seconds"} <= receipt.keys()
    (kept_in,) = (run.path / "scores").glob("likelihood-mnist-test-k20-n50-seed1-*.json")
    kept = json.loads(kept_in.read_text())
    assert kept["metrics"] == told["metrics"]


def test_the_table_names_every_number(run: cf.Run, command) -> None:
    shown = command("likelihood", run.path, "-k", 5, "-n", 20)
    assert all(
        word in shown.out for word in ("IWAE-5", "ELBO", "rate", "distortion", "active units", "of 15", "ESS", "nats")
    )
    assert "no normalized likelihood" not in shown.out


def test_gray_pixels_come_with_a_caveat(digits, tmp_path: Path) -> None:
    run = cf.train("vae", digits[0], out=tmp_path / "run", epochs=1, **NARROW)
    found = run.likelihood(3, 20, images=digits[0])
    assert not found.binarized and "never with published nats" in found.table()
    assert "never with published nats" in found.to_dict()["metrics"]["ELBO"]["notes"][0]
    black_or_white = run.likelihood(3, 20, images=binarize.fixed(digits[0], "train"))
    assert black_or_white.binarized and "published nats" not in black_or_white.table()


def test_a_folder_is_read_at_the_size_of_the_run(digits, tmp_path: Path) -> None:
    """Twice as large there as here; without a size, a folder is read at 64x64."""
    run = cf.train("vae", digits[0], out=tmp_path / "run", epochs=1, **NARROW)
    (tmp_path / "large").mkdir()
    for i, image in enumerate(digits[0][:4]):
        Image.fromarray(image[0].repeat(2, 0).repeat(2, 1)).save(tmp_path / "large" / f"{i}.png")
    of_folder = run.likelihood(3, images=tmp_path / "large")
    same = run.likelihood(3, images=cf.load_data(tmp_path / "large", size=28).images)
    assert of_folder.receipt["n"] == 4 and of_folder.elbo.mean == same.elbo.mean


def test_a_conditional_model_is_told_the_labels(digits, tmp_path: Path) -> None:
    images, labels = digits
    run = cf.train("cvae", images, labels=labels, out=tmp_path / "run", epochs=2, binarize="static", **NARROW)
    right = run.likelihood(5, 200, images=images, labels=labels)
    wrong = run.likelihood(5, 200, images=images, labels=(labels + 1) % 10)
    assert right.receipt["given_labels"] and right.iwae.mean != wrong.iwae.mean
    with pytest.raises(cf.InputError, match="needs the images' labels"):
        run.likelihood(5, images=images)


def test_what_a_run_cannot_answer_is_one_line(run: cf.Run, digits, command, tmp_path: Path) -> None:
    for name, folder, data in (("ae", "ae", digits[0]), ("gan", "gan", digits[0]), ("vae", "array", digits[0])):
        cf.train(name, data, out=tmp_path / folder, epochs=1, batch_size=500, **NARROW)
    cf.train("vae", "mnist5k", out=tmp_path / "5k", epochs=1, batch_size=2500, **NARROW)
    for words, says in (
        ([tmp_path / "ae"], f"no posterior over its latents, so no bound on its likelihood: use {able(HasBound)}"),
        ([tmp_path / "gan"], f"no encoder, so no bound on its likelihood: use {able(HasBound)}"),
        ([tmp_path / "array"], "was trained on an array"),
        ([tmp_path / "5k"], "mnist5k has no test images: pass --split train"),
        ([run.path, "-n", 10_001], "mnist has 10,000 test images"),
        ([run.path, "-k", 0], "k is 0"),
        ([tmp_path / "nowhere"], "is not a run"),
    ):
        shown = command("likelihood", *words)
        assert shown.code == 2 and says in shown.err, shown.err
        assert len(shown.err.splitlines()) == 1
    assert command("likelihood", tmp_path / "5k", "--split", "train", "-k", 2, "-n", 3).code == 0
    with pytest.raises(cf.InputError, match="images must be uint8"):
        run.likelihood(2, images=np.zeros((3, 1, 8, 8), np.uint8))
