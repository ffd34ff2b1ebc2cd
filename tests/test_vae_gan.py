"""The VAE/GAN: each network's gradient against autograd of the loss that the paper writes for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import counterfeit as cf
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.base import Batch, HasPosterior
from counterfeit.models.build import build, build_named
from counterfeit.models.losses import kl_standard_normal
from counterfeit.models.vae_gan.model import VAEGAN
from counterfeit.runs import troubles
from counterfeit.system.noise import Noise
from counterfeit.training import diagnosis

SHAPE = (1, 16, 16)
W = 0.3


def vae_gan() -> VAEGAN:
    spec = MODELS["vae-gan"]
    model = build(spec, spec.settings.replace({**spec.small, "feature_weight": W}), SHAPE, 0)
    assert isinstance(model, VAEGAN)
    return model


def by_hand(model: VAEGAN, x: Tensor) -> dict[str, Tensor]:
    """The three losses, each written out with nothing cut from any graph: gradients are taken of them by name."""
    rng, real = Noise.seeded(0), 2 * x - 1
    z_p = rng.normal(len(x), 8)
    mu, logvar = model.encoder(x).chunk(2, dim=1)
    z = mu + rng.normal(len(x), 8) * (logvar / 2).exp()
    again, drawn = model.generator(z).tanh(), model.generator(z_p).tanh()
    features = model.discriminator.features
    distance = 0.5 * (features(real) - features(again)).square().sum((1, 2, 3)).mean()
    judged = [model.discriminator(images) for images in (real, again, drawn)]
    log_real = [F.logsigmoid(d).mean() for d in judged]
    log_fake = [F.logsigmoid(-d).mean() for d in judged]
    return {
        "encoder": kl_standard_normal(mu, logvar).mean() + distance,
        "generator": W * distance - (1 - W) * (log_real[1] + log_real[2]),
        "discriminator": -log_real[0] - log_fake[1] - log_fake[2],
    }


def test_every_network_has_the_gradient_of_its_own_loss_and_of_nothing_else() -> None:
    """So the adversarial loss does not reach the encoder, and the distance of features not the discriminator."""
    model, x = vae_gan(), torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    expected = {
        name: torch.autograd.grad(loss, [*model.networks()[name].parameters()], retain_graph=True)
        for name, loss in by_hand(model, x).items()
    }
    found: dict[str, list[Tensor]] = {}

    def update(name: str, loss: Tensor) -> None:
        model.zero_grad(set_to_none=True)
        loss.backward()
        reached = {
            other for other, net in model.networks().items() if any(p.grad is not None for p in net.parameters())
        }
        assert reached == {name}
        found[name] = [parameter.grad.clone() for parameter in model.networks()[name].parameters()]

    losses = model.step([Batch(x)], update, Noise.seeded(0), torch.zeros(()))
    assert [*found] == [*expected] == ["encoder", "generator", "discriminator"]
    for name, gradients in expected.items():
        for one, two in zip(found[name], gradients, strict=True):
            # float32; batches of other sizes are summed in other orders
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6 * (1 + float(two.abs().max())))
    values = {name: loss.item() for name, loss in by_hand(model, x).items()}
    assert losses["kl"].item() + losses["features"].item() == pytest.approx(values["encoder"], rel=1e-4)
    assert losses["g_loss"].item() == pytest.approx(values["generator"], rel=1e-4)
    assert losses["d_loss"].item() == pytest.approx(values["discriminator"], rel=1e-4)


def test_its_posterior_and_its_discriminator_are_looked_at() -> None:
    """What is judged are images and samples; a silent encoder and a sure discriminator are named."""
    model, images = vae_gan().eval(), np.random.default_rng(0).integers(0, 256, (16, *SHAPE), np.uint8)
    x, drawn = torch.from_numpy(images) / 255, model.generator(Noise.seeded(0).normal(16, 8)).tanh()
    of_both = [model.discriminator(seen).detach() for seen in (2 * x - 1, drawn)]
    cost = -(F.logsigmoid(of_both[0]) + F.logsigmoid(-of_both[1])).mean() / (2 * np.log(2))
    assert model.judged(x, None, Noise.seeded(0)).item() == pytest.approx(cost.item(), rel=1e-5)

    def found() -> set[str]:
        return set(diagnosis.diagnosed(model, (images, None), None, None, 5000, set(), 0))

    assert found() == set()
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        model.encoder.head[-1].weight.zero_()
        model.encoder.head[-1].bias.zero_()
        assert found() == {troubles.POSTERIOR_COLLAPSE}
        answers = iter([torch.full((16, 1), 9.0), torch.full((16, 1), -9.0)])
        patch.setattr(model.discriminator, "forward", lambda seen: next(answers))
        assert found() == {troubles.HAS_WON, troubles.POSTERIOR_COLLAPSE}


def test_it_has_codes_and_takes_a_sampler(tmp_path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), np.uint8)
    np.savez(tmp_path / "own.npz", images=pictures)
    settings = {**MODELS["vae-gan"].small, "epochs": 1, "batch_size": 20, "quiet": True}
    run = cf.train("vae-gan", tmp_path / "own.npz", out=tmp_path / "run", **settings)
    assert isinstance(run.model, HasPosterior)
    assert run.encode(pictures[:3]).shape == (3, 8) and run.reconstruct(pictures[:3]).shape == (3, *SHAPE)
    assert not np.array_equal(run.with_sampling(sampler="gaussian").sample(4), run.sample(4))


def test_a_weight_that_is_no_share_is_refused() -> None:
    with pytest.raises(InputError, match="--feature-weight is 1.5; it must be from 0 to 1"):
        MODELS["vae-gan"].settings.replace({"feature_weight": 1.5})


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        # conv-vae's with 128 latents in place of 64, and dcgan's discriminator
        ((1, 28, 28), [132_544 + 6_556_800 + 128 * 1025, 6_509_952 + 64 * 1024 + 132_289, 1_102_721]),
    ],
)
def test_parameter_counts(shape: tuple[int, int, int], sizes: list[int]) -> None:
    with torch.device("meta"):
        networks = build_named("vae-gan", shape).networks()
    assert [sum(p.numel() for p in net.parameters()) for net in networks.values()] == sizes
