"""Losses against closed forms and torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from counterfeit.models.losses import ADVERSARIAL, LIKELIHOODS, Likelihood, kl_standard_normal
from counterfeit.models.losses.likelihood import Scaled

RNG = torch.Generator().manual_seed(0)


def test_the_vae_loss_of_the_assignments_fixture() -> None:
    """x̂ = σ([[2,5],[6,7]]), x = σ([[1,10],[9,3]]), mu = 1, logvar = 0, Z = 15: 8.5079 = 1.00786 + 7.5."""
    logits = torch.tensor([[[[2.0, 5.0], [6.0, 7.0]]]])  # one image of 2x2 pixels: (1, 1, 2, 2)
    x = torch.sigmoid(torch.tensor([[[[1.0, 10.0], [9.0, 3.0]]]]))
    bce = LIKELIHOODS["bernoulli"]().nll(logits, x).mean()
    kl = kl_standard_normal(torch.ones(1, 15), torch.zeros(1, 15)).mean()
    assert kl.item() == pytest.approx(7.5, abs=1e-6)
    assert bce.item() == pytest.approx(1.00786, abs=5e-6)
    assert bce.item() + kl.item() == pytest.approx(8.5079, abs=5e-5)


def test_bernoulli_is_the_log_probability_on_binary_pixels_and_unreduced() -> None:
    logits = torch.randn(6, 3, 4, 4, generator=RNG, dtype=torch.float64)
    x = torch.rand(6, 3, 4, 4, generator=RNG, dtype=torch.float64).round()
    expected = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(LIKELIHOODS["bernoulli"]().nll(logits, x), expected, rtol=1e-12, atol=0)


def with_scale(name: str, scale: float) -> Likelihood:
    """A likelihood in float64 whose learned scale is this."""
    made = LIKELIHOODS[name]().double()
    assert isinstance(made, Scaled)
    with torch.no_grad():  # softplus's inverse
        made.raw_scale.copy_(torch.tensor(scale / made.least, dtype=torch.float64).log().expm1().log())
    assert made.log_scale().exp().item() == pytest.approx(scale, rel=1e-12)
    return made


@pytest.mark.parametrize("scale", [0.01, 0.2, 3.0])
def test_gaussian_is_the_log_density(scale: float) -> None:
    raw = torch.randn(6, 3, 4, 4, generator=RNG, dtype=torch.float64)
    x = torch.rand(6, 3, 4, 4, generator=RNG, dtype=torch.float64)
    expected = -Normal(raw.sigmoid(), scale).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(with_scale("gaussian", scale).nll(raw, x), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.5])
def test_logistic_is_a_probability_of_the_levels(scale: float) -> None:
    """The 256 levels of a pixel have probabilities that add up to 1, and inner ones are differences of sigmoids."""
    levels = (torch.arange(256, dtype=torch.float64) / 255).view(256, 1, 1, 1)
    raw = torch.full((256, 1, 1, 1), 0.4, dtype=torch.float64)
    p = (-with_scale("logistic", scale).nll(raw, levels)).exp()
    assert p.sum().item() == pytest.approx(1, rel=1e-9)
    middle = levels.flatten() - raw.sigmoid().flatten()
    expected = ((middle + 0.5 / 255) / scale).sigmoid() - ((middle - 0.5 / 255) / scale).sigmoid()
    torch.testing.assert_close(p[1:-1], expected[1:-1], rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("name", ["gaussian", "logistic"])
def test_a_learned_scale_finds_the_one_of_the_images(name: str) -> None:
    """The derivative of the loss by the scale is 0 at the maximum of the likelihood: for a Gaussian, the root mean
    square of the errors. It stays above its least value where images are met exactly."""
    raw, noise = torch.zeros(50, 1, 8, 8, dtype=torch.float64), torch.randn(50, 1, 8, 8, generator=RNG).double()
    made = LIKELIHOODS[name]().double()
    for x, low, high in ((0.5 + 0.1 * noise, 0.05, 0.11), (raw.sigmoid(), made.least, 5 * made.least)):
        optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
        for _ in range(400):
            optimizer.zero_grad()
            made.nll(raw, x).mean().backward()
            optimizer.step()
        assert low <= made.log_scale().exp().item() <= high
    if name == "gaussian":
        x = 0.5 + 0.1 * noise
        best = with_scale(name, (x - 0.5).square().mean().sqrt().item())
        best.nll(raw, x).mean().backward()
        assert abs(best.raw_scale.grad.item()) < 1e-9


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_likelihoods_stay_finite_at_saturated_pixels(name: str) -> None:
    logits = torch.tensor([[-200.0, 200.0]])
    assert torch.isfinite(LIKELIHOODS[name]().nll(logits, torch.tensor([[1.0, 0.0]]))).all()


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
        ("bce", lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)), lambda r, f: -math.log(sigmoid(f))),
        (
            "minimax",
            lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
            lambda r, f: math.log(1 - sigmoid(f)),
        ),
        ("least-squares", lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2, lambda r, f: 0.5 * (f - 1) ** 2),
        # Miyato et al. 2018, eqs. 16 and 17.
        ("hinge", lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda r, f: -f),
        # Jolicoeur-Martineau 2019, eqs. 3 and 4, with σ: how likely the real one is the more real of the two.
        ("relativistic", lambda r, f: -math.log(sigmoid(r - f)), lambda r, f: -math.log(sigmoid(f - r))),
    ],
)
def test_adversarial_closed_forms(name: str, discriminator, generator) -> None:
    known = {"bce", "minimax", "least-squares", "hinge", "relativistic"}
    assert set(ADVERSARIAL) == known, "a new loss needs its closed form here"
    pair = ADVERSARIAL[name]
    for real, fake in [(0.0, 0.0), (1.5, -0.7), (-3.0, 2.0)]:
        r, f = (torch.tensor([[v]], dtype=torch.float64) for v in (real, fake))
        assert pair.discriminator(r, f, 1.0).item() == pytest.approx(discriminator(real, fake), rel=1e-12)
        assert pair.generator(r, f).item() == pytest.approx(generator(real, fake), rel=1e-12)
        moved = pair.generator(r + 0.1, f).item() != pair.generator(r, f).item()
        assert moved == pair.relative, "the real image is looked at where `relative` says so"


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
