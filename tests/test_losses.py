"""Losses against closed forms and torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from counterfeit.models.losses import ADVERSARIAL, LIKELIHOODS, kl_standard_normal

RNG = torch.Generator().manual_seed(0)


def test_the_vae_loss_of_the_assignments_fixture() -> None:
    """x̂ = σ([[2,5],[6,7]]), x = σ([[1,10],[9,3]]), mu = 1, logvar = 0, Z = 15: 8.5079 = 1.00786 + 7.5."""
    logits = torch.tensor([[[[2.0, 5.0], [6.0, 7.0]]]])  # one image of 2x2 pixels: (1, 1, 2, 2)
    x = torch.sigmoid(torch.tensor([[[[1.0, 10.0], [9.0, 3.0]]]]))
    bce = LIKELIHOODS["bernoulli"].nll(logits, x).mean()
    kl = kl_standard_normal(torch.ones(1, 15), torch.zeros(1, 15)).mean()
    assert kl.item() == pytest.approx(7.5, abs=1e-6)
    assert bce.item() == pytest.approx(1.00786, abs=5e-6)
    assert bce.item() + kl.item() == pytest.approx(8.5079, abs=5e-5)


def test_bernoulli_is_the_log_probability_on_binary_pixels_and_unreduced() -> None:
    logits = torch.randn(6, 3, 4, 4, generator=RNG, dtype=torch.float64)
    x = torch.rand(6, 3, 4, 4, generator=RNG, dtype=torch.float64).round()
    expected = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(LIKELIHOODS["bernoulli"].nll(logits, x), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_likelihoods_stay_finite_at_saturated_pixels(name: str) -> None:
    logits = torch.tensor([[-200.0, 200.0]])
    assert torch.isfinite(LIKELIHOODS[name].nll(logits, torch.tensor([[1.0, 0.0]]))).all()


def test_kl_against_torch_distributions() -> None:
    mu, logvar = (
        torch.randn(5, 7, generator=RNG, dtype=torch.float64),
        torch.randn(5, 7, generator=RNG, dtype=torch.float64),
    )
    one = torch.ones((), dtype=torch.float64)
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0 * one, one)).sum(1)
    torch.testing.assert_close(kl_standard_normal(mu, logvar), expected, rtol=1e-12, atol=0)
    assert kl_standard_normal(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        # Goodfellow et al. 2014, eq. 1, and the two forms of section 3, written with D = σ(v).
        ("bce", lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)), lambda f: -math.log(sigmoid(f))),
        ("minimax", lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)), lambda f: math.log(1 - sigmoid(f))),
        ("least-squares", lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2, lambda f: 0.5 * (f - 1) ** 2),
    ],
)
def test_adversarial_closed_forms(name: str, discriminator, generator) -> None:
    assert set(ADVERSARIAL) == {"bce", "minimax", "least-squares"}, "a new loss needs its closed form here"
    pair = ADVERSARIAL[name]
    for real, fake in [(0.0, 0.0), (1.5, -0.7), (-3.0, 2.0)]:
        r, f = (torch.tensor([[v]], dtype=torch.float64) for v in (real, fake))
        assert pair.discriminator(r, f, 1.0).item() == pytest.approx(discriminator(real, fake), rel=1e-12)
        assert pair.generator(f).item() == pytest.approx(generator(fake), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "best"),
    [("bce", math.log(0.9 / 0.1)), ("minimax", math.log(0.9 / 0.1)), ("least-squares", 0.9)],
)
def test_one_sided_label_smoothing_moves_what_the_discriminator_says_of_real_images_only(
    name: str, best: float
) -> None:
    """A real image costs least where D, or the raw output of least squares, is 0.9; a fake costs what it ever did."""
    real = torch.tensor([best], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([-0.3], dtype=torch.float64, requires_grad=True)
    smoothed, plain = (ADVERSARIAL[name].discriminator(real, fake, target) for target in (0.9, 1.0))
    slope_real, slope_fake = torch.autograd.grad(smoothed.sum(), [real, fake])
    assert slope_real.item() == pytest.approx(0, abs=1e-12)
    assert torch.autograd.grad(plain.sum(), fake)[0] == slope_fake
