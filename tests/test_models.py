"""Every model of the registry: sizes, gradients, ranges, determinism."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import torch
from torch import nn

from counterfeit.errors import InputError
from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Autoencoder, HasLatents, Model
from counterfeit.models.build import build, build_named
from counterfeit.models.losses import ADVERSARIAL, LIKELIHOODS
from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.settings import having
from counterfeit.system.arguments import fields_of
from counterfeit.system.noise import Noise
from counterfeit.testing.checks import CHECKS, STARTS, check_steps
from counterfeit.testing.small import descended, variant
from counterfeit.testing.threads import together
from loop_cases import KINDS, TRAINED, can, small, stepped

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64)]
every_model = pytest.mark.parametrize("name", list(MODELS))


def in_every_shape(names: list[str]) -> pytest.MarkDecorator:
    """Of every kind in all shapes, of every model in that of digits."""
    return pytest.mark.parametrize(
        ("name", "shape"),
        [
            pytest.param(name, shape, marks=pytest.mark.full if name not in KINDS and shape != SHAPES[0] else ())
            for name in names
            for shape in SHAPES
        ],
    )


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def batch(shape: tuple[int, int, int], n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(n, *shape, generator=rng), torch.arange(n) % 10


@pytest.mark.parametrize(
    ("name", "part", "parameters"),
    [
        ("vae", None, 1_288_414),
        ("vae", "encoder", 646_830),
        ("vae", "decoder", 641_584),
        ("cvae", None, 1_296_414),
        ("gan", "discriminator", 267_009),
        ("gan", "generator", 1_952_528),
        ("lsgan", "discriminator", 267_009),
        ("lsgan", "generator", 1_952_528),
        ("dcgan", "discriminator", 1_102_721),
        ("dcgan", "generator", 6_675_009),
        # One head instead of two: 400 * 15 + 15 fewer than the VAE.
        ("ae", None, 1_288_414 - 6_015),
    ],
)
def test_parameter_counts_on_mnist(name: str, part: str | None, parameters: int) -> None:
    model = build_named(name, (1, 28, 28), classes=10)
    assert count(getattr(model, part) if part else model) == parameters


# What networks, steps, checkpoints and options are is a model's own; how it samples and is shared out is its kind's.
OF_KIND = ("check_samples", "check_processes")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, marks=pytest.mark.full if name not in KINDS and check.__name__ in OF_KIND else ())
        for name in TRAINED
        for check in CHECKS
    ],
    ids=lambda given: given if isinstance(given, str) else given.__name__.removeprefix("check_"),
)
def test_every_model_keeps_the_contract(name: str, check: Callable[[str], None]) -> None:
    check(name)


def of_size(name: str, shape: tuple[int, int, int]) -> Model:
    """A small model of images of a shape, no weight of which is 0: one that starts there hides gradients of others."""
    model = build(MODELS[name], MODELS[name].settings.replace(MODELS[name].small), shape, 10)
    noise = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=noise)
    return model


@in_every_shape(list(MODELS))
def test_gradients_of_each_update_reach_exactly_their_own_module(name: str, shape: tuple[int, int, int]) -> None:
    model = of_size(name, shape)
    updated = set()

    def update(network: str, loss: torch.Tensor) -> None:
        """A full backward pass, so that whatever the loss depends on, within the network, gets its gradient."""
        model.zero_grad(set_to_none=True)
        own = list(model.networks()[network].parameters())
        loss.backward(inputs=own, retain_graph=True)
        with_gradient = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        mine = {n: p for n, p in model.named_parameters() if any(p is q for q in own)}
        assert with_gradient <= mine.keys()
        # A loss of differences between a critic's values, such as Wasserstein's, does not know its last bias.
        assert not {n for n in mine.keys() - with_gradient if mine[n].numel() > 1}
        updated.add(network)

    stepped(model, *batch(shape), update)
    assert updated == set(model.networks())


@every_model
def test_no_networks_loss_depends_on_another_networks_weights(name: str) -> None:
    """A backward pass to whatever there is leaves the others without gradients: none are computed to be thrown away."""
    model = of_size(name, (1, 28, 28))
    updated = set()

    def update(network: str, loss: torch.Tensor) -> None:
        model.zero_grad(set_to_none=True)
        loss.backward(retain_graph=True)
        reached = {
            other for other, net in model.networks().items() if any(p.grad is not None for p in net.parameters())
        }
        assert reached == {network}
        updated.add(network)

    stepped(model, *batch((1, 28, 28)), update)
    assert updated == set(model.networks())
    assert all(parameter.requires_grad for parameter in model.parameters())


@in_every_shape([name for name in MODELS if can(name, HasLatents)])
def test_latents_become_images(name: str, shape: tuple[int, int, int]) -> None:
    model = of_size(name, shape).eval()
    z = model.noise(4, Noise.seeded(0))
    assert z.shape == (4, *model.latent_shape)
    x = model.decode(z, torch.arange(4) if model.classes else None)
    assert x.shape == (4, *shape)
    assert x.min() >= 0 and x.max() <= 1
    assert x.std() > 0


@every_model
def test_fresh_weights_depend_on_the_seed_alone_and_leave_the_global_state(name: str) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = build_named(name, (1, 28, 28), 10).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    second = build_named(name, (1, 28, 28), 10).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = build(MODELS[name], MODELS[name].settings.replace({"seed": 1}), (1, 28, 28), 10).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", [name for name in MODELS if isinstance(small(name), Autoencoder)])
def test_the_training_loss_is_the_weighted_mean_of_the_terms(name: str) -> None:
    model = build_named(name, (1, 28, 28), 10).eval()
    assert isinstance(model, Autoencoder)
    x, y = batch((1, 28, 28))
    y = y if model.classes else None
    losses = stepped(model, x, y, lambda network, loss: None)
    terms = model.terms(x, y, Noise.seeded(0))
    expected = sum(term.mean() * model.weights.get(key, 1.0) for key, term in terms.items())
    torch.testing.assert_close(losses["loss"], expected, rtol=1e-6, atol=0)  # float32: the order of two sums
    assert all(term.shape == (len(x),) for term in terms.values())


@pytest.mark.parametrize("name", ["vae", *(name for name, spec in MODELS.items() if spec.conditional)])
def test_the_label_matters_to_a_conditional_model_only(name: str) -> None:
    model = of_size(name, (1, 28, 28)).eval()
    options = MODELS[name].sampling
    with torch.inference_mode():
        one, two = (model.sample(2, torch.full((2,), label), Noise.seeded(0), options) for label in (1, 2))
    assert torch.equal(one, two) != MODELS[name].conditional


def test_the_autoencoder_samples_from_the_gaussian_of_its_codes() -> None:
    """Moments of its noise against the moments of the codes it saw, at 20,000 draws: 3 sigma of a mean is 0.02 std."""
    model = build_named("ae", (1, 28, 28))
    assert isinstance(model, Autoencoder)
    x = torch.rand(512, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()
    model.train().terms(x, None, Noise.seeded(0))
    codes = model.encode(x).detach()
    z = model.noise(20_000, Noise.seeded(1)).detach()
    std = codes.std(0)
    assert ((z.mean(0) - codes.mean(0)).abs() < 0.05 * std).all()
    # The second moment is kept in float32 and the codes of untrained weights are nearly constant: 10 % is rounding.
    torch.testing.assert_close(z.std(0), std, rtol=0.1, atol=0)


def test_minimax_differs_from_the_default_and_is_selectable() -> None:
    config = MODELS["gan"].settings.replace({"loss": "minimax"})
    model = build(MODELS["gan"], config, (1, 28, 28), 0)
    x, _ = batch((1, 28, 28))
    losses = stepped(model, x, None, lambda network, loss: None)
    plain = stepped(build_named("gan", (1, 28, 28)), x, None, lambda *_: None)
    assert torch.equal(losses["d_loss"], plain["d_loss"])
    assert losses["g_loss"] < 0 < plain["g_loss"]


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 30, 32), (1, 18, 18)])
def test_dcgan_says_which_sizes_it_cannot_take(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 4 and at least 16, not"):
        build_named("dcgan", shape)


def test_a_loss_of_another_kind_of_model_is_refused() -> None:
    with pytest.raises(InputError, match="--loss is 'bce'; it must be 'bernoulli'"):
        MODELS["vae"].settings.replace({"loss": "bce"})


def test_the_losses_that_can_be_chosen_are_those_that_there_are() -> None:
    chosen = {name: set(get_args(fields_of(type(MODELS[name].settings))["loss"])) for name in ("vae", "gan")}
    assert chosen == {"vae": set(LIKELIHOODS), "gan": set(ADVERSARIAL)}


def test_what_no_model_has_is_no_models_setting() -> None:
    """`rate` is a method of the settings, and no setting."""
    for name in ("rate", "replace", "epoch"):
        with pytest.raises(InputError, match=f"no setting named '{name}'"):
            MODELS["vae"].changed(MODELS["vae"].settings, {name: 1})


@pytest.mark.parametrize(
    ("name", "setting"),
    [("gan", {"kl_weight": 0.5}), ("ae", {"kl_weight": 0.5}), ("vae", {"label_smoothing": 0.1}),
     ("vae", {"instance_noise": 0.1}), ("cvae", {"lr_discriminator": 1e-3})],
)  # fmt: skip
def test_a_setting_of_another_kind_of_model_is_refused(name: str, setting: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{name} has no --{next(iter(setting)).replace('_', '-')}: leave it out"):
        MODELS[name].changed(MODELS[name].settings, setting)


def test_the_weight_of_the_kl_is_that_of_training_only() -> None:
    x, y = batch((1, 28, 28))
    model = build(MODELS["vae"], MODELS["vae"].settings.replace({"kl_weight": 0.25}), (1, 28, 28), 10)
    seen = {}
    losses = stepped(model, x, y, lambda network, loss: seen.update({network: loss}))
    torch.testing.assert_close(seen["autoencoder"], losses["reconstruction"] + 0.25 * losses["kl"])
    assert isinstance(model, Autoencoder)
    terms = model.terms(x, y, Noise.seeded(0))
    torch.testing.assert_close(losses["kl"], terms["kl"].mean())


def test_instance_noise_is_on_what_the_discriminator_sees() -> None:
    """The same noise source: the images differ by Gaussian noise of that deviation; 5 % is 6 sigma of 25,088 draws."""
    rng = Noise.seeded(0)
    model = build(MODELS["gan"], MODELS["gan"].settings.replace({"instance_noise": 0.3}), (1, 28, 28), 0)
    seen: list[torch.Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    x = torch.full((16, 1, 28, 28), 0.5)
    stepped(model, x, None, lambda network, loss: None, rng)
    assert [len(images) for images in seen] == [32, 16]
    assert seen[0][:16].std().item() == pytest.approx(0.3, rel=0.05)
    assert seen[0][:16].mean().abs() < 0.02


@pytest.mark.parametrize("slope", [None, 0, 0.01])
@pytest.mark.parametrize(("inputs", "outputs"), [(784, 400), (96, 1024), (400, 30), (256, 1)])
def test_our_linear_is_torchs_linear_to_float32_rounding(inputs: int, outputs: int, slope: float | None) -> None:
    """Values and all three gradients against float64. A sum of n float32 products is off by at most n epsilons; 1e-4 of
    the largest value is that for the 784 here with room to spare, and a wrong product is off by about 1."""
    ours = Linear(inputs, outputs, slope)
    x = torch.randn(128, inputs, requires_grad=True)
    upstream = torch.randn(128, outputs)
    y = ours(x)
    got = [y, *torch.autograd.grad(y, [x, *ours.parameters()], upstream)]
    x64, w64, b64 = (t.detach().double().requires_grad_() for t in (x, ours.weight, ours.bias))
    y64 = x64 @ w64.T + b64
    if slope is not None:
        y64 = y64 * torch.where(y > 0, 1.0, slope).double()  # by our own signs: rounding may turn one that is near 0
    want = [y64, *torch.autograd.grad(y64, [x64, w64, b64], upstream.double())]
    for one, two in zip(got, want, strict=True):
        assert (one.double() - two).abs().max() < 1e-4 * two.abs().max()


def test_our_layers_can_be_differentiated_twice() -> None:
    """Gradient penalties need that; finite differences are too coarse in float32, so against PyTorch's own layers.

    Gradients of inputs and weights, and of what they come to by both; inputs are not channels-last.
    """
    plain = nn.Sequential(nn.Linear(32, 64), nn.LeakyReLU(0.1))
    pairs = [
        (Linear(32, 64, 0.1), plain, (16, 32)),
        (Conv2d(1, 32, 5), nn.Conv2d(1, 32, 5), (4, 1, 16, 16)),
        (Conv2d(32, 16, 5), nn.Conv2d(32, 16, 5), (4, 32, 8, 8)),
        (ConvTranspose2d(64, 1, 4, 2, 1), nn.ConvTranspose2d(64, 1, 4, 2, 1), (4, 64, 8, 8)),
        (ConvTranspose2d(32, 16, 4, 2, 1), nn.ConvTranspose2d(32, 16, 4, 2, 1), (4, 32, 8, 8)),
    ]
    for ours, theirs, shape in pairs:
        (theirs[0] if theirs is plain else theirs).load_state_dict(ours.state_dict())
        x = torch.randn(*shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        penalties = []
        for layer in (ours, theirs):
            by = [x, next(layer.parameters())]
            gradients = torch.autograd.grad(layer(x).tanh().sum(), by, create_graph=True)
            penalties.append(
                [d for g in gradients for d in torch.autograd.grad(g.square().sum(), by, retain_graph=True)]
            )
        for one, two in zip(*penalties, strict=True):
            assert two.abs().max() > 0
            assert (one - two).abs().max() < 1e-4 * two.abs().max(), type(ours)  # float32 sums in another order


@pytest.mark.parametrize("shape", [*SHAPES, (1, 20, 24), (3, 18, 20), (2, 16, 16)], ids=str)
def test_our_convolutions_are_torchs_to_float32_rounding(shape: tuple[int, int, int]) -> None:
    """Values and gradients of the layers, next to images and further in. Sums of at most 28 * 28 * 8 float32 products:
    1e-4 of the largest value is a wide bound of their rounding, and a wrong kernel is off by about 1."""
    c = shape[0]
    half = (shape[1] // 2, shape[2] // 2)
    layers = [
        (Conv2d(c, 32, 5), nn.Conv2d(c, 32, 5), torch.randn(8, *shape)),
        (Conv2d(32, 16, 5), nn.Conv2d(32, 16, 5), torch.randn(8, 32, *half)),
        (ConvTranspose2d(64, c, 4, 2, 1), nn.ConvTranspose2d(64, c, 4, 2, 1), torch.randn(8, 64, *half)),
        (ConvTranspose2d(32, 16, 4, 2, 1), nn.ConvTranspose2d(32, 16, 4, 2, 1), torch.randn(8, 32, *half)),
    ]
    for ours, theirs, x in layers:
        theirs.load_state_dict(ours.state_dict())
        both = []
        for layer in (ours, theirs):
            layer.to(memory_format=torch.channels_last)
            inputs = x.clone().to(memory_format=torch.channels_last).requires_grad_()
            y = layer(inputs)
            upstream = 1 + torch.sin(torch.arange(y.numel(), dtype=torch.float32)).view_as(y)  # no sum near 0
            both.append([y, *torch.autograd.grad(y, [inputs, *layer.parameters()], upstream)])
        for one, two in zip(*both, strict=True):
            assert one.shape == two.shape
            assert (one - two).abs().max() < 1e-4 * two.abs().max()


def test_a_biass_gradient_is_exact_to_rounding_of_its_last_digits() -> None:
    """36,864 positive numbers: added one by one, as oneDNN does, they would round by 5e-6 of their sum."""
    layer = Conv2d(1, 32, 5).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    y = layer(torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    upstream = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last)
    (got,) = torch.autograd.grad(y, layer.bias, upstream)
    want = upstream.double().sum((0, 2, 3))
    assert ((got - want).abs() / want).max() < 1e-6


def choices() -> list[tuple[str, dict[str, str]]]:
    """Every other value of the settings of its own that a model offers a choice of, such as its loss.

    Models of the same settings are one code, of which the first is tried.
    """
    found = []
    for name, spec in {type(spec.settings): (name, spec) for name, spec in reversed(MODELS.items())}.values():
        for key, kind in fields_of(type(spec.settings)).items():
            offered = get_args(kind) if get_origin(kind) is Literal else ()
            if spec.based_on is None and key not in having(ModelSettings):
                found += [(name, {key: value}) for value in offered if value != getattr(spec.settings, key)]
    return found


@pytest.mark.parametrize(
    ("name", "settings"),
    [pytest.param(*one, marks=() if one[0] in KINDS else pytest.mark.full) for one in choices()],
    ids=str,
)
def test_every_choice_of_an_objective_trains_and_is_a_mean_over_rows(name: str, settings: dict[str, str]) -> None:
    """Its losses are the same in two processes: to rounding, where a ReLU turned by it moves weights by more, and by
    some starts at least (see check_processes)."""

    def differs(chosen: str, seed: int) -> bool:
        ((_, alone),) = together(1, lambda group: descended(chosen, group, seed))
        ((_, shared), _) = together(2, lambda group: descended(chosen, group, seed))
        return any(two != pytest.approx(one, rel=1e-3, abs=1e-4) for one, two in zip(alone, shared, strict=True))

    with variant(name, settings) as chosen:
        check_steps(chosen)
        assert not all(differs(chosen, seed) for seed in range(STARTS))


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.based_on is None])
def test_every_model_has_a_page_and_its_parameters_in_the_list(name: str) -> None:
    pages = Path(__file__).parents[1] / "docs/models"
    row = next(
        line for line in (pages / "README.md").read_text().splitlines() if line.startswith(f"| [{name}]({name}.md)")
    )
    for shape in SHAPES[:2]:
        assert f" {count(build_named(name, shape, 10)):,} " in row
    assert (pages / f"{name}.md").read_text().startswith(f"# {name}: ")
