"""Bounds on the likelihood against quadrature and closed forms."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.base import Encodes, HasBound
from counterfeit.models.build import able, build
from counterfeit.models.losses import LIKELIHOODS
from counterfeit.models.vae.model import VAE
from counterfeit.scoring.likelihood import likelihood
from loop_cases import can, small

SHAPE = (1, 8, 8)


class Encoder(nn.Module):
    """mu_j = slopes_j · mean of the image, and one logvar for all."""

    def __init__(self, slopes: list[float], logvar: float = 0.0) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor(slopes))
        self.logvar = logvar

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        mu = x.flatten(1).mean(1, keepdim=True) * self.slopes
        return torch.cat([mu, torch.full_like(mu, self.logvar)], 1)


class Constant(nn.Module):
    """The same logits whatever z is."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logits = torch.full(SHAPE, logit)

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.logits.expand(len(z), *SHAPE)


def constructed(slopes: list[float], logit: float = 0.0, logvar: float = 0.0) -> VAE:
    return VAE(Encoder(slopes, logvar), Constant(logit), LIKELIHOODS["bernoulli"](), len(slopes)).eval()


def tiny(latent: int) -> VAE:
    """An untrained VAE whose decoder depends on z enough for the posterior to be far from the encoder's guess."""
    config = MODELS["vae"].settings.replace({"latent": latent, "encoder_width": 8, "decoder_width": 16})
    model = build(MODELS["vae"], config, SHAPE, 0)
    assert isinstance(model, VAE)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(2)
    return model.eval()


@torch.inference_mode()
def by_quadrature(model: VAE, images: np.ndarray, points: int) -> np.ndarray:
    """log ∫ p(x|z) N(z; 0, I) dz on a grid from -7 to 7 an axis, in float64, of every image."""
    model, (latent,) = model.double(), model.latent_shape
    axis = torch.linspace(-7, 7, points, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * latent).reshape(-1, latent)
    logits = model.decoder(z, None).flatten(1)  # (G, D)
    x = torch.from_numpy(images).double().flatten(1) / 255
    log_px = logits @ x.T - nn.functional.softplus(logits).sum(1, keepdim=True)  # (G, N)
    log_pz = -0.5 * z.square().sum(1) - latent / 2 * math.log(2 * math.pi)
    volume = latent * (axis[1] - axis[0]).log()
    found = torch.logsumexp(log_px + log_pz[:, None], 0) + volume
    model.float()
    return found.numpy()


def black_and_white(n: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, *SHAPE)) < 0.4).astype(np.uint8) * 255


@pytest.mark.parametrize(("latent", "points"), [(1, 4001), (2, 401)])
def test_many_importance_samples_reach_the_log_likelihood_of_quadrature(latent: int, points: int) -> None:
    """200,000 samples for each of 6 images: an error of 0.0015 nats in the mean; a finer grid changes it by 2e-5."""
    model, images = tiny(latent), black_and_white(6)
    exact = by_quadrature(model, images, points).mean()
    found = likelihood(model, images, k=200_000, batch=10_000)
    assert found.iwae.mean == pytest.approx(exact, abs=0.005)
    assert found.elbo.mean < exact - 0.5, "the case tests nothing where the ELBO is tight anyway"


def test_the_bounds_are_ordered() -> None:
    """ELBO = IWAE-1 <= IWAE-5 <= IWAE-25 <= log p in expectation: means of 40 seeds, within 4 standard errors."""
    model, images = tiny(2), black_and_white(8)
    truth = by_quadrature(model, images, 401).mean()
    found = {k: [likelihood(model, images, k=k, seed=seed) for seed in range(40)] for k in (1, 5, 25)}
    bounds = {k: np.array([one.iwae.mean for one in many]) for k, many in found.items()}
    elbo = np.array([one.elbo.mean for one in found[25]])

    def error(values: np.ndarray) -> float:
        return 4 * values.std(ddof=1) / math.sqrt(len(values))

    assert bounds[1].mean() == pytest.approx(elbo.mean(), abs=error(bounds[1]) + error(elbo))
    assert elbo.mean() + error(elbo) < bounds[5].mean() < bounds[25].mean() < truth + error(bounds[25])


def test_rate_and_distortion_sum_to_minus_the_elbo() -> None:
    found = likelihood(tiny(2), black_and_white(10), k=3)
    assert found.rate.mean + found.distortion.mean == pytest.approx(-found.elbo.mean, rel=1e-12)
    assert found.rate.mean > 0 and found.distortion.mean > 0


@pytest.mark.parametrize("logit", [0.0, 1.5, 300.0, -300.0])
def test_where_the_posterior_is_exact_every_bound_is_the_log_likelihood(logit: float) -> None:
    """z tells nothing and q is the prior: all weights are p(x), also where exp(log p) underflows."""
    images = black_and_white(20)
    on = (images == 255).sum(axis=(1, 2, 3))
    exact = -on * np.logaddexp(0, -logit) - (64 - on) * np.logaddexp(0, logit)
    found = likelihood(constructed([0.0, 0.0], logit), images, k=7)
    assert found.rate.mean == 0
    for nats in (found.iwae, found.elbo):
        assert nats.mean == pytest.approx(exact.mean(), rel=1e-6)  # the decoder's float32
        assert nats.error == pytest.approx(exact.std(ddof=1) / math.sqrt(20), rel=1e-5, abs=1e-9)


def test_the_rate_is_the_closed_form_and_does_not_depend_on_samples() -> None:
    """mu = 1 in 15 dimensions with unit variance: 7.5 nats, as in the specification's fixture."""
    white = np.full((3, *SHAPE), 255, np.uint8)
    assert likelihood(constructed([1.0] * 15), white, k=1).rate.mean == pytest.approx(7.5, abs=1e-6)
    wide = likelihood(constructed([0.0] * 4, logvar=1.0), white, k=1).rate.mean
    assert wide == pytest.approx(4 * 0.5 * (math.e - 2), rel=1e-6)


def test_active_units_are_those_whose_mean_varies() -> None:
    """Black and white images in equal parts: a mean of slope·(0 or 1) has variance slope²/4, active above 0.01."""
    images = np.zeros((10, *SHAPE), np.uint8)
    images[::2] = 255
    found = likelihood(constructed([0.0, 0.19, 0.21, -0.21, 3.0]), images, k=1)
    assert (found.active_units, found.latent) == (3, 5)
    assert likelihood(constructed([9.0]), images[:1], k=1).active_units == 0


def test_nothing_depends_on_how_the_samples_are_cut_into_blocks() -> None:
    """Same noise in every cut; a matrix product's float32 rounding differs with its rows: 1e-6 relative."""
    model, images = tiny(2), black_and_white(5)
    whole = likelihood(model, images, k=101, seed=3, batch=1000)
    for batch in (1, 7, 50, 101):
        cut = likelihood(model, images, k=101, seed=3, batch=batch)
        assert cut.iwae.mean == pytest.approx(whole.iwae.mean, rel=1e-6)
        assert cut.distortion.mean == pytest.approx(whole.distortion.mean, rel=1e-6)
    assert likelihood(model, images, k=101, seed=3) == whole, "and the same call gives the same bits"
    assert likelihood(model, images, k=101, seed=4).iwae.mean != whole.iwae.mean


def test_an_image_has_the_same_samples_whatever_comes_after_it() -> None:
    model, images = tiny(2), black_and_white(1200)  # more than are encoded at once
    many, few = likelihood(model, images, k=2), likelihood(model, images[:1100], k=2)
    rest = (many.iwae.mean * 1200 - few.iwae.mean * 1100) / 100
    alone = np.mean([_bound_of(model, images, i) for i in range(1100, 1200)])
    assert rest == pytest.approx(alone, rel=1e-6)


@torch.inference_mode()
def _bound_of(model: VAE, images: np.ndarray, i: int) -> float:
    """IWAE-2 with seed 0, written out for image i in float64."""
    x = torch.from_numpy(images[i : i + 1]) / 255
    mu, logvar = model.posterior(x)
    eps = torch.from_numpy(np.random.default_rng([0, i]).standard_normal((2, *model.latent_shape), np.float32))
    q = torch.distributions.Normal(mu.double(), (logvar.double() / 2).exp())
    z = mu + eps * (logvar / 2).exp()
    logits = model.decoder(z, None).double().flatten(1)
    log_px = torch.distributions.Bernoulli(logits=logits).log_prob(x.double().flatten(1)).sum(1)
    log_pz = torch.distributions.Normal(0.0, 1.0).log_prob(z.double()).sum(1)
    return (torch.logsumexp(log_px + log_pz - q.log_prob(z.double()).sum(1), 0) - math.log(2)).item()


def test_the_effective_sample_size_is_that_of_the_weights() -> None:
    """Against (Σ w)² / Σ w² written out for one image in float64, in blocks; all of them where weights are equal."""
    model, image, k = tiny(2), black_and_white(1), 30
    eps = torch.from_numpy(np.random.default_rng([0, 0]).standard_normal((k, 2), np.float32)).double()
    with torch.inference_mode():
        x = torch.from_numpy(image) / 255
        mu, logvar = (part.double() for part in model.posterior(x, None))
        z = mu + eps * (logvar / 2).exp()
        log_px = torch.distributions.Bernoulli(logits=model.decoder(z.float(), None).double())
        weights = log_px.log_prob(x.double().expand(k, -1, -1, -1)).sum((1, 2, 3))
        weights += torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        weights -= torch.distributions.Normal(mu, (logvar / 2).exp()).log_prob(z).sum(1)
    w = (weights - weights.max()).exp()
    found = likelihood(model, image, k=k, batch=7)
    assert found.ess.median == found.ess.least == pytest.approx((w.sum() ** 2 / w.square().sum()).item(), rel=1e-4)
    even = likelihood(constructed([0.0, 0.0]), black_and_white(3), k=7)
    assert even.ess.least == pytest.approx(7) and even.loose is None


def test_a_loose_bound_is_said_to_be_loose() -> None:
    """A posterior far from the encoder's guess: one sample of many carries the weight."""
    far = tiny(2)
    with torch.no_grad():
        for parameter in far.decoder.parameters():
            parameter.mul_(3)
    found = likelihood(far, black_and_white(20), k=100)
    assert found.ess.median < 10
    shown = found.to_dict()["metrics"]["IWAE-100"]
    assert shown["extras"] == {"ess_median": found.ess.median, "ess_least": found.ess.least}
    assert "IWAE-100 is loose" in shown["notes"][0] and "IWAE-100 is loose" in found.table() and "ESS" in found.table()


def test_a_single_image_has_no_standard_error() -> None:
    found = likelihood(tiny(1), black_and_white(1), k=2)
    assert found.iwae.error is None
    assert json.loads(json.dumps(found.to_dict()))["metrics"]["IWAE-2"]["uncertainty"] is None
    assert "IWAE-2" in found.table()


def test_what_has_no_likelihood_is_refused() -> None:
    images = np.zeros((2, 1, 28, 28), np.uint8)
    for name in MODELS:
        if not can(name, HasBound):
            lacks = "no posterior over its latents" if can(name, Encodes) else "no encoder"
            says = f"this model has {lacks}, so no bound on its likelihood: use {able(HasBound)}$"
            with pytest.raises(cf.InputError, match=says):
                likelihood(small(name), images)
    for wrong in ({"k": 0}, {"batch": 0}, {"seed": -1}):
        with pytest.raises(cf.InputError):
            likelihood(tiny(1), black_and_white(2), **wrong)
