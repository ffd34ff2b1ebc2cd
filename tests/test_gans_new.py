"""What wgan-gp and cgan have of their own: the gradient penalty, several critic steps, labels in both networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterfeit.data.batches import epoch_order
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.base import Batch
from counterfeit.models.build import build, build_named
from counterfeit.models.gan.model import GAN
from counterfeit.models.wgan.model import WGANGP, gradient_penalty
from counterfeit.nets import NETS
from counterfeit.system.noise import Noise
from counterfeit.training.loop import run_steps
from counterfeit.training.state import State

SMALL = {"encoder_width": 16, "decoder_width": 16, "latent": 8}


def wgan_gp(**settings: object) -> WGANGP:
    spec = MODELS["wgan-gp"]
    model = build(spec, spec.settings.replace({**SMALL, **settings}), (1, 16, 16), 0)
    assert isinstance(model, WGANGP)
    return model


def cgan() -> GAN:
    model = build_named("cgan", (1, 28, 28), 10)
    assert isinstance(model, GAN)
    return model


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def random_batches(n: int, size: int = 8) -> list[Batch]:
    return [Batch(torch.rand(size, 1, 16, 16)) for _ in range(n)]


# --------------------------------------------------------------------------------------------- the gradient penalty


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
def test_the_penalty_of_a_linear_critic_is_a_number_of_its_weights(shape: tuple[int, int, int]) -> None:
    """D(x) = <w, x> + b has the gradient w at every image, whatever its shape: (|w| - 1)² per image, and its gradient
    by w is 2 (|w| - 1) w/|w|. In float64; 1e-12 within the root is what may be missing."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 1)).double()
    weight = next(critic.parameters())
    with torch.no_grad():
        weight.mul_(3)
    penalty = gradient_penalty(critic, torch.rand(5, *shape, dtype=torch.float64))
    norm = weight.norm()
    torch.testing.assert_close(penalty, (norm - 1).square().expand(5), rtol=1e-9, atol=0)
    (gradient,) = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(gradient, 2 * (norm - 1) * weight / norm, rtol=1e-9, atol=0)


def test_the_penalty_is_on_both_sides_of_1() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    nn.init.constant_(critic[1].weight, 0.25)  # a norm of 1/2
    torch.testing.assert_close(gradient_penalty(critic, torch.rand(2, 1, 2, 2)), torch.full((2,), 0.25))


def test_a_flat_critic_has_a_penalty_of_1_and_finite_gradients() -> None:
    critic = NETS["dcgan"].encoder((1, 16, 16), 1, 16, 0)
    nn.init.zeros_(critic.head[1].weight)
    penalty = gradient_penalty(critic, torch.rand(4, 1, 16, 16))
    assert penalty.tolist() == pytest.approx([1] * 4, abs=1e-5)  # the root of 1e-12 is 1e-6
    by = [weight for name, weight in critic.named_parameters() if name.endswith("weight")]
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(penalty.mean(), by))


def moved(critic: nn.Module, way: list[Tensor], by: float) -> nn.Module:
    with torch.no_grad():
        for parameter, step in zip(critic.parameters(), way, strict=True):
            parameter.add_(step, alpha=by)
    return critic


@pytest.mark.parametrize("net", ["dcgan", "fc-gan"])
def test_the_penaltys_gradient_by_the_weights_against_finite_differences(net: str) -> None:
    """In float64, along random directions: steps of h = 1e-6 leave an error of h² beside rounding of 1e-16 / h, and
    hardly cross a kink of pooling or activation."""
    critic = NETS[net].encoder((3, 16, 16), 1, 32, 0).double()
    x, h = torch.randn(4, 3, 16, 16, dtype=torch.float64), 1e-6
    gradients = torch.autograd.grad(
        gradient_penalty(critic, x).mean() + sum(0 * p.sum() for p in critic.parameters()), list(critic.parameters())
    )
    for _ in range(5):
        way = [torch.randn_like(parameter) for parameter in critic.parameters()]
        slope = sum((g * step).sum().item() for g, step in zip(gradients, way, strict=True))
        up = gradient_penalty(moved(critic, way, h), x).mean().item()
        down = gradient_penalty(moved(critic, way, -2 * h), x).mean().item()
        moved(critic, way, h)
        assert abs(slope) > 1e-3
        assert (up - down) / (2 * h) == pytest.approx(slope, rel=1e-5)


def test_the_penaltys_gradient_in_float32_is_that_in_float64() -> None:
    """Our layers against PyTorch's, which a net takes in float64. Rounding: see test_second_derivatives.py."""
    critic = NETS["dcgan"].encoder((1, 28, 28), 1, 64, 0)
    x = torch.randn(4, 1, 28, 28)
    found = []
    for images in (x, x.double()):
        critic.to(images.dtype)
        by = [weight for name, weight in critic.named_parameters() if name.endswith("weight")]
        found.append(torch.autograd.grad(gradient_penalty(critic, images).mean(), by))
    for one, two in zip(*found, strict=True):
        assert (one.double() - two).abs().max() < 1e-4 * two.abs().max()


# ------------------------------------------------------------------------------------------------------- algorithm 1


def test_a_step_is_critic_steps_updates_of_the_critic_and_one_of_the_generator() -> None:
    model, updated = wgan_gp(critic_steps=3), []
    (stage,) = model.stages()
    assert stage.batches == 3
    losses = stage.step(random_batches(3), lambda name, loss: updated.append(name), Noise.seeded(0), torch.zeros(()))
    assert updated == ["critic"] * 3 + ["generator"]
    assert set(losses) == {"d_loss", "penalty", "g_loss"}
    assert not any(loss.requires_grad for name, loss in losses.items() if name != "g_loss")


def test_the_losses_are_those_of_the_paper() -> None:
    """Worked out once more from the same draws: per critic step z, then the share of the real image."""
    model, seen = wgan_gp(critic_steps=2, penalty=7), []
    batches = random_batches(2)
    given = Noise.seeded(3)
    losses = model.step(batches, lambda name, loss: seen.append(loss.item()), given, torch.zeros(()))
    rng, expected, distances, penalties = Noise.seeded(3), [], [], []
    for x, _ in batches:
        fake = model.decode(rng.normal(8, 8)) * 2 - 1
        share = rng.uniform(8, 1, 1, 1)
        penalty = gradient_penalty(model.critic, share * (2 * x - 1) + (1 - share) * fake).mean().item()
        d_loss = (model.critic(fake).mean() - model.critic(2 * x - 1).mean()).item()
        expected.append(d_loss + 7 * penalty)
        distances.append(d_loss)
        penalties.append(penalty)
    expected.append(-model.critic(model.decode(rng.normal(8, 8)) * 2 - 1).mean().item())
    # float32: the means of values near 0.1, batches of other sizes
    assert seen == pytest.approx(expected, abs=1e-5)
    assert losses["d_loss"].item() == pytest.approx(np.mean(distances), abs=1e-5)
    assert losses["penalty"].item() == pytest.approx(np.mean(penalties), abs=1e-5)
    assert losses["g_loss"].item() == pytest.approx(expected[-1], abs=1e-5)


def test_noise_is_fresh_in_every_update_and_the_critics_fakes_have_no_graph() -> None:
    model = wgan_gp()
    noise: list[Tensor] = []
    graphs: list[bool] = []
    model.generator.register_forward_pre_hook(lambda module, inputs: noise.append(inputs[0]))
    model.generator.register_forward_hook(lambda module, inputs, out: graphs.append(out.requires_grad))
    model.step(random_batches(5), lambda name, loss: None, Noise.seeded(0), torch.zeros(()))
    assert graphs == [False] * 5 + [True]
    assert len(torch.cat(noise).unique()) == 6 * 8 * 8, "every number is another"


def test_the_penalized_images_lie_between_a_real_and_a_generated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at a place of its own; all pixels of an image at the same."""
    model, shares = wgan_gp(critic_steps=1), []
    x = torch.rand(64, 1, 16, 16)
    monkeypatch.setattr(model, "generate", lambda z: torch.full((len(z), 1, 16, 16), -3.0))
    between = "counterfeit.models.wgan.model.gradient_penalty"
    monkeypatch.setattr(between, lambda critic, x_hat: shares.append((x_hat + 3) / (2 * x + 2)) or torch.zeros(64))
    model.step([Batch(x)], lambda name, loss: None, Noise.seeded(0), torch.zeros(()))
    of_images = shares[0].flatten(1)
    assert (of_images.amax(1) - of_images.amin(1)).max() < 1e-5  # float32
    assert 0 <= of_images.min() and of_images.max() < 1 and of_images[:, 0].std() > 0.2


def test_the_batches_of_a_step_are_fresh_rows_of_the_epochs_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 images that say which they are: 2 epochs of 3 steps of 4 batches of 8; 4 images are left over."""
    config = MODELS["wgan-gp"].settings.replace({**SMALL, "epochs": 2, "batch_size": 8, "critic_steps": 4})
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(100, 1, 16, 16).contiguous()
    model = build(MODELS["wgan-gp"], config, (1, 16, 16), 0)
    state = State.fresh(model, config, torch.device("cpu"))
    seen: list[Tensor] = []
    usual = WGANGP.step

    def step(self: WGANGP, batches: list[Batch], *rest: object) -> object:
        seen.append(torch.cat([x[:, 0, 0, 0] for x, _ in batches]))
        return usual(self, batches, *rest)

    monkeypatch.setattr(WGANGP, "step", step)
    assert [*run_steps(state, images, None, config)]
    assert state.step == len(seen) == 6
    for epoch in range(2):
        rows = (torch.cat(seen[3 * epoch : 3 * epoch + 3]) * 255).round().long()
        assert rows.tolist() == epoch_order(100, config.seed, epoch)[:96].tolist()
    assert state.optimizers["critic"].steps == 24 and state.optimizers["generator"].steps == 6


def test_the_papers_settings_can_be_asked_for() -> None:
    settings = MODELS["wgan-gp"].settings.replace({"lr": 1e-4, "critic_steps": 5, "schedule": "constant", "ema": 0})
    assert (settings.critic_steps, settings.penalty, settings.latent, settings.batch_size) == (5, 10, 128, 64)
    for network in ("critic", "generator"):
        adam = settings.optimizer_of(network)
        assert (adam.kind, adam.lr, adam.betas, adam.weight_decay) == ("adam", 1e-4, (0, 0.9), 0)


@pytest.mark.parametrize(("setting", "value"), [("critic_steps", 0), ("penalty", -1.0), ("penalty", float("nan"))])
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--{setting.replace('_', '-')} is {value}; it must be"):
        MODELS["wgan-gp"].settings.replace({setting: value})


def test_the_critic_has_no_batch_norm() -> None:
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in wgan_gp().critic.modules())


# ------------------------------------------------------------------------------------------------------------- cgan


def test_the_label_reaches_both_networks_of_cgan() -> None:
    model = cgan().eval()
    z, x = model.noise(4, Noise.seeded(0)), torch.rand(4, 1, 28, 28)
    for of_label in (lambda y: model.decode(z, y), lambda y: model.discriminator(x, y)):
        ones, twos = (of_label(torch.full((4,), label)).detach() for label in (1, 2))
        assert (ones != twos).flatten(1).any(1).all()
        mixed = of_label(torch.tensor([1, 2, 1, 2])).detach()  # each image has its own
        torch.testing.assert_close(
            mixed, torch.where(torch.tensor([True, False] * 2).view(-1, *[1] * (ones.ndim - 1)), ones, twos)
        )


def test_a_step_of_cgan_gives_both_networks_the_labels_of_the_images() -> None:
    model, y = cgan(), torch.arange(8)
    given: dict[str, list[Tensor]] = {"discriminator": [], "generator": []}
    for name, network in model.networks().items():
        network.register_forward_pre_hook(lambda module, inputs, name=name: given[name].append(inputs[1]))
    model.step([Batch(torch.rand(8, 1, 28, 28), y)], lambda name, loss: None, Noise.seeded(0), torch.zeros(()))
    assert [labels.tolist() for labels in given["generator"]] == [[*range(8)]]
    assert [labels.tolist() for labels in given["discriminator"]] == [[*range(8)] * 2, [*range(8)]]


# -------------------------------------------------------------------------------------------------- parameter counts


MNIST, CIFAR10 = (1, 28, 28), (3, 32, 32)
# The pair's own, and what more noise and labels add: a weight for every unit of a first layer.
SIZES = [
    ("wgan-gp", "critic", MNIST, 1_102_721),
    ("wgan-gp", "generator", MNIST, 6_675_009 + (128 - 96) * 1024),
    ("wgan-gp", "critic", CIFAR10, 1_694_145),
    ("wgan-gp", "generator", CIFAR10, 8_648_899 + (128 - 96) * 1024),
    ("cgan", "discriminator", MNIST, 267_009 + 10 * 256),
    ("cgan", "generator", MNIST, 1_952_528 + 10 * 1024),
    ("cgan", "discriminator", CIFAR10, 852_737 + 10 * 256),
    ("cgan", "generator", CIFAR10, 4_297_728 + 10 * 1024),
]


@pytest.mark.parametrize(("name", "network", "shape", "parameters"), SIZES)
def test_parameter_counts(name: str, network: str, shape: tuple[int, int, int], parameters: int) -> None:
    with torch.device("meta"):
        model = build_named(name, shape, 10)
    assert count(model.networks()[network]) == parameters
