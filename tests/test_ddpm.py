"""Denoising diffusion: its schedules, its loss and DDIM against closed forms and calculations by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from counterfeit.errors import InputError
from counterfeit.models.ddpm import TIMES, DDIMSampling, DDPMSettings
from counterfeit.models.ddpm.model import DDPM, SCHEDULES
from counterfeit.system.noise import Noise

SHAPE = (1, 4, 4)
every_prediction = pytest.mark.parametrize("predict", ["noise", "velocity"])
every_schedule = pytest.mark.parametrize("schedule", list(SCHEDULES))


class Exact(nn.Module):
    """The best prediction for pixels that are independent and from N(mean, deviation²): E[noise | x_t], or of v."""

    def __init__(self, mean: Tensor, deviation: float, schedule: str, predict: str) -> None:
        super().__init__()
        self.mean, self.variance, self.predict = nn.Parameter(mean), deviation**2, predict
        self.kept = SCHEDULES[schedule]().to(mean.dtype)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        kept = self.kept[(t * TIMES).round().long()].view(-1, 1, 1, 1)
        signal, spread = kept.sqrt(), (1 - kept).sqrt()
        noise = spread * (x - signal * self.mean) / (kept * self.variance + 1 - kept)
        if self.predict == "noise":
            return noise
        image = self.mean + signal * self.variance * (x - signal * self.mean) / (kept * self.variance + 1 - kept)
        return signal * noise - spread * image


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_shares_of_the_image_are_those_of_the_papers() -> None:
    linear, cosine = (SCHEDULES[name]() for name in ("linear", "cosine"))
    for kept in (linear, cosine):
        assert kept.shape == (TIMES + 1,) and kept[0] == 1 and (kept.diff() < 0).all() and kept[-1] > 0
    betas = 1 - linear[1:] / linear[:-1]
    assert betas[0].item() == pytest.approx(1e-4) and betas[-1].item() == pytest.approx(0.02)
    assert betas[499].item() == pytest.approx(1e-4 + 499 / 999 * (0.02 - 1e-4))
    assert linear[2].item() == pytest.approx((1 - betas[0].item()) * (1 - betas[1].item()))
    assert linear[-1].item() == pytest.approx(4.036e-5, rel=1e-3)  # as in every implementation of DDPM
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    for t in (250, 900):
        wanted = math.cos((t / TIMES + 0.008) / 1.008 * math.pi / 2) ** 2 / start
        assert cosine[t].item() == pytest.approx(wanted, rel=1e-9)
    assert 1 - (cosine[-1] / cosine[-2]).item() == pytest.approx(0.999)


@every_prediction
@every_schedule
def test_an_exact_predictor_of_one_image_has_no_loss_and_ddim_finds_it(schedule: str, predict: str, double) -> None:
    """Any number of steps: x_t - sqrt(ᾱ_t) image is all noise."""
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    model = DDPM(Exact(image, 0.0, schedule, predict), SHAPE, schedule, predict)
    x = ((image + 1) / 2).expand(64, -1, -1, -1)
    error = model.terms(x, None, Noise.seeded(0))["error"]
    assert error.shape == (64,) and error.max() < 1e-9
    z = model.noise(8, Noise.seeded(1)).double()
    for steps in (1, 7, TIMES):
        torch.testing.assert_close(model.decode(z, None, DDIMSampling(steps)), x[:8], rtol=0, atol=1e-6)


@every_schedule
def test_images_in_noise_have_the_moments_of_equation_4(schedule: str) -> None:
    """x_t is N(sqrt(ᾱ_t) x, 1 - ᾱ_t), and t is uniform on 1 … T: of 4,000 images, by tenths of time."""
    seen: list[tuple[Tensor, Tensor]] = []

    class Noted(nn.Module):
        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            seen.append((x, t * TIMES))
            return torch.zeros_like(x)

    model = DDPM(Noted(), SHAPE, schedule, "noise")
    error = model.terms(torch.full((4000, *SHAPE), 0.9), None, Noise.seeded(0))["error"]
    assert error.mean().item() == pytest.approx(1, abs=0.03)  # E ε²: standard error 0.006
    ((x, t),) = seen
    t = t.round().long()
    assert 1 <= t.min() and t.max() <= TIMES and t.max() > 990 and t.min() < 10
    kept = SCHEDULES[schedule]().float()[t].view(-1, 1, 1, 1)
    whitened = (x - kept.sqrt() * 0.8) / (1 - kept).sqrt()  # 0.9 is 0.8 in [-1, 1]
    for tenth in range(10):
        part = whitened[(t - 1) * 10 // TIMES == tenth]
        assert 300 < len(part) < 500
        assert part.mean().item() == pytest.approx(0, abs=0.06)  # standard error 0.0125
        assert part.var().item() == pytest.approx(1, abs=0.08)  # 0.018


@every_prediction
def test_a_step_of_ddim_is_that_of_its_equation(predict: str, double) -> None:
    """Two steps by hand, T to T / 2 to 0, of a net that predicts 0.9 x: eq. 12 of Song et al., sigma = 0.

    The first image of the noise, -1.6, is cut.
    """

    class Same(nn.Module):
        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return 0.9 * x

    kept = SCHEDULES["linear"]().tolist()
    x = z = -0.1
    for now, then in ((kept[1000], kept[500]), (kept[500], 1.0)):
        if predict == "noise":
            image = (x - math.sqrt(1 - now) * 0.9 * x) / math.sqrt(now)
        else:
            image = math.sqrt(now) * x - math.sqrt(1 - now) * 0.9 * x
        image = min(max(image, -1.0), 1.0)
        noise = (x - math.sqrt(now) * image) / math.sqrt(1 - now)
        x = math.sqrt(then) * image + math.sqrt(1 - then) * noise
    found = DDPM(Same(), SHAPE, "linear", predict).decode(torch.full((1, *SHAPE), z), None, DDIMSampling(2))
    torch.testing.assert_close(found, torch.full_like(found, (x + 1) / 2))


@every_prediction
def test_ddim_carries_noise_to_the_normal_distribution_that_the_images_have(predict: str, double) -> None:
    """Images are N(0.1, 0.15²): the flow of probability maps x_T linearly, z to 0.1 + 0.15 z, but for ᾱ_T > 0 and h."""
    model = DDPM(Exact(torch.full(SHAPE, 0.1), 0.15, "cosine", predict), SHAPE, "cosine", predict)
    z = torch.linspace(-3, 3, 16).view(1, *SHAPE)
    found = model.decode(z, None, DDIMSampling(TIMES)) * 2 - 1
    torch.testing.assert_close(found, 0.1 + 0.15 * z, rtol=0, atol=0.005)
    coarse = model.decode(z, None, DDIMSampling(10)) * 2 - 1
    far = [(images - (0.1 + 0.15 * z)).abs().max().item() for images in (found, coarse)]
    assert far[1] > 5 * far[0], "more steps follow it more closely"


def test_wrong_settings_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match="--steps is 1001; it must be at most 1000"):
        DDIMSampling(1001)
    with pytest.raises(InputError, match="--noise-schedule is 'sigmoid'"):
        DDPMSettings().replace({"noise_schedule": "sigmoid"})
