"""The convolutional VAEs: the capacity against its formula and its aim, the networks against the published sizes."""

from __future__ import annotations

import pytest
import torch

from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.base import Batch
from counterfeit.models.build import build, build_named
from counterfeit.models.vae.model import RISE, VAE
from counterfeit.system.noise import Noise

SHAPE = (1, 16, 16)


def beta_vae(**settings: float) -> VAE:
    spec = MODELS["beta-vae"]
    model = build(spec, spec.settings.replace({**spec.small, **settings}), SHAPE, 0)
    assert isinstance(model, VAE)
    return model


def images(n: int) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def losses(model: VAE, progress: float) -> dict[str, float]:
    """Of one step, which moves nothing."""
    of_step = model.eval().step([Batch(images(6))], lambda name, loss: None, Noise.seeded(0), torch.tensor(progress))
    return {name: loss.item() for name, loss in of_step.items()}


@pytest.mark.parametrize("progress", [0.0, RISE / 2, RISE, 0.9])
def test_the_loss_with_a_capacity_is_burgess_equation_8(progress: float) -> None:
    """By hand from the terms of every image: C rises in a straight line and then stays."""
    model = beta_vae(kl_weight=7.0, capacity=30.0)
    with torch.no_grad():
        terms = model.eval().terms(images(6), None, Noise.seeded(0))
    held_at = 30 * min(1, progress / RISE)
    by_hand = (
        sum(r + 7 * abs(k - held_at) for r, k in zip(*(term.tolist() for term in terms.values()), strict=True)) / 6
    )
    found = losses(model, progress)
    assert found["loss"] == pytest.approx(by_hand, rel=1e-6)
    assert found["kl"] == pytest.approx(float(terms["kl"].mean()), rel=1e-6)  # the log has the KL itself


def test_without_a_capacity_beta_multiplies_the_kl() -> None:
    found = losses(beta_vae(kl_weight=7.0), 0.5)
    assert found["loss"] == pytest.approx(found["reconstruction"] + 7 * found["kl"], rel=1e-6)


def test_the_kl_is_held_at_the_capacity() -> None:
    """At the end of C's rise the KL of every image is near it, from below at first and then from either side."""
    model = beta_vae(kl_weight=1000.0, capacity=12.0).train()
    optimizer, rng = torch.optim.Adam(model.parameters(), lr=3e-3), Noise.seeded(0)

    def update(name: str, loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    steps = 300
    for step in range(steps):
        model.step([Batch(images(16))], update, rng, torch.tensor(step / steps))
    with torch.no_grad():
        kl = model.terms(images(16), None, rng)["kl"]
    assert (kl - 12).abs().mean() < 1.5


def test_the_networks_are_those_of_dai_and_wipf() -> None:
    """Convolutions of 4x4 with stride 2 to 64 and 128 channels, 1024 units, and back: counted by hand for MNIST."""
    encoder = (16 * 64 + 64) + (64 * 16 * 128 + 128) + 2 * 128 + (6272 * 1024 + 1024) + 2 * 1024 + (1024 * 128 + 128)
    decoder = (
        (64 * 1024 + 1024) + 2 * 1024 + (1024 * 6272 + 6272) + 2 * 6272 + (128 * 16 * 64 + 64) + 2 * 64 + 16 * 64 + 1
    )
    model = build_named("conv-vae", (1, 28, 28))
    assert sum(p.numel() for p in model.encoder.parameters()) == encoder
    assert sum(p.numel() for p in model.decoder.parameters()) == decoder


@pytest.mark.parametrize("shape", [(1, 27, 28), (3, 30, 30), (1, 4, 4)])
def test_sizes_that_do_not_halve_twice_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 4 and at least 8, not"):
        build_named("conv-vae", shape)


@pytest.mark.parametrize("loss", ["gaussian", "logistic"])
def test_black_and_white_pixels_are_a_bernoullis(loss: str) -> None:
    with pytest.raises(InputError, match=f"--binarize static makes pixels for --loss bernoulli, not {loss}"):
        MODELS["conv-vae"].settings.replace({"loss": loss, "binarize": "static"})
    with pytest.raises(InputError, match="--capacity is -1"):
        MODELS["beta-vae"].settings.replace({"capacity": -1.0})
