"""The spectrally normalized GANs and their kin, and what all GANs got with them: penalties, augmentation, clipping."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from counterfeit.errors import InputError
from counterfeit.models import MODELS, gan
from counterfeit.models.base import Batch
from counterfeit.models.build import build
from counterfeit.models.gan.augment import CHANGES, augmented
from counterfeit.models.gan.model import squared_gradient
from counterfeit.nets import NETS
from counterfeit.nets.initial import initialize
from counterfeit.nets.labels import BatchNorm, Head
from counterfeit.nets.pair import halvings
from counterfeit.nets.spectral import spectral_norm
from counterfeit.system.noise import Noise

SHAPE = (3, 16, 16)


def small(name: str, **settings: Any) -> Any:
    spec = MODELS[name]
    return build(spec, spec.settings.replace({**spec.small, **settings}), SHAPE, 10)


def batch(n: int = 8, seed: int = 0) -> Batch:
    return Batch(torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed)), torch.arange(n) % 10)


def updates(model: Any, batches: list[Batch]) -> dict[str, float]:
    """The loss that each network is updated by, in one step that moves nothing."""
    seen: dict[str, float] = {}
    model.step(batches, lambda name, loss: seen.__setitem__(name, loss.item()), Noise.seeded(3), torch.zeros(()))
    return seen


# ------------------------------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize(
    ("net", "widths", "discriminator", "generator"),
    [
        # For CIFAR-10, in millions: public logs of these networks have 5.9 and 3.8, and 1.1 and 4.3.
        ("sngan", (64, 64), 5_860_865, 3_813_379),
        ("sngan-resnet", (128, 256), 1_053_825, 4_276_739),
    ],
)
def test_at_full_width_they_have_the_papers_parameters(
    net: str, widths: tuple[int, int], discriminator: int, generator: int
) -> None:
    with torch.device("meta"):
        made = NETS[net].encoder((3, 32, 32), 1, widths[0], 0), NETS[net].decoder((3, 32, 32), 128, widths[1], 0)
    assert [sum(p.numel() for p in part.parameters()) for part in made] == [discriminator, generator]


@pytest.mark.parametrize("net", ["sngan", "sngan-resnet"])
@pytest.mark.parametrize("side", [8, 28, 48, 64, 96, 128, 256])
def test_parameters_hardly_grow_with_the_side(net: str, side: int) -> None:
    """dcgan has 45 million at 64 pixels and 783 at 256. Here each halving is a few layers more, and the last maps are
    some 4x4: two halvings more than at 64 pixels add no more than the four before had."""
    with torch.device("meta"):
        of = {s: [NETS[net].encoder((3, s, s), 1, 16, 0), NETS[net].decoder((3, s, s), 8, 16, 0)] for s in (side, 64)}
        count = {s: sum(p.numel() for part in made for p in part.parameters()) for s, made in of.items()}
        assert count[side] < 2.2 * count[64]


@pytest.mark.parametrize("net", ["infogan", "dcgan-halving"])
def test_layers_of_large_images_are_no_larger_than_those_of_small_ones(net: str) -> None:
    """Where the quarter of an image can be halved on: a Linear layer of 8x8 maps, as at 32 pixels."""
    with torch.device("meta"):
        largest = {
            side: [max(p.numel() for p in make((3, side, side), 8, 64, 0).parameters())
                   for make in (NETS[net].encoder, NETS[net].decoder)]
            for side in (32, 48, 64, 96, 128, 256)
        }  # fmt: skip
    assert all(here <= there * 2 for of in largest.values() for here, there in zip(of, largest[32], strict=True))
    assert largest[256][1] == largest[128][1] == largest[64][1] == largest[32][1] == 64 * 128 * 8 * 8


@pytest.mark.parametrize(
    ("net", "side"),
    [
        *((net, side) for net in ("sngan", "sngan-resnet", "infogan") for side in (8, 28, 48, 96, 256)),
        *(("dcgan-halving", side) for side in (16, 28, 48, 60, 96, 256)),
    ],
)
def test_images_have_the_side_that_was_asked_for(net: str, side: int) -> None:
    assert_images(net, side, side)


@pytest.mark.parametrize("net", ["infogan", "dcgan-halving"])
@pytest.mark.parametrize(("height", "width"), [(16, 40), (64, 16), (32, 256), (64, 512)])
def test_images_that_are_far_from_square(net: str, height: int, width: int) -> None:
    assert_images(net, height, width)


def assert_images(net: str, *sides: int) -> None:
    encoder, decoder = NETS[net].encoder((3, *sides), 1, 2, 0), NETS[net].decoder((3, *sides), 8, 2, 0)
    images = decoder(torch.randn(2, 8))
    assert images.shape == (2, 3, *sides) and encoder(images).shape == (2, 1)


@pytest.mark.parametrize(
    ("shape", "times"), [((1, 28, 28), 2), ((3, 32, 32), 3), ((3, 48, 48), 3), ((3, 64, 128), 4), ((1, 256, 256), 6)]
)
def test_halvings_end_at_4_to_7(shape: tuple[int, int, int], times: int) -> None:
    assert halvings("sngan", shape) == times
    assert 4 <= min(side >> times for side in shape[1:]) <= 7


@pytest.mark.parametrize(("shape", "why"), [((3, 33, 33), "at all"), ((1, 50, 50), "below 25x25")], ids=str)
def test_a_side_that_cannot_be_halved_is_refused(shape: tuple[int, int, int], why: str) -> None:
    with pytest.raises(InputError, match=f"the sngan net .* cannot be halved {why}: pass --size"):
        NETS["sngan"].decoder(shape, 8, 4, 0)


@pytest.mark.parametrize("net", ["sngan", "sngan-resnet"])
def test_every_weight_of_the_discriminator_has_a_largest_singular_value_of_1(net: str) -> None:
    """Each as a matrix with a row an output, as the paper has it; 200 passes are enough for the power iteration of
    matrices this small to find the largest to 1 %, and one more pass must not change anything in evaluation."""
    encoder = NETS[net].encoder(SHAPE, 1, 4, 10)
    with torch.no_grad():
        for weights in encoder.parameters():
            weights.mul_(3)
        for _ in range(200):
            encoder(torch.rand(2, *SHAPE), torch.tensor([1, 2]))
    layers = [part for part in encoder.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.Embedding)]
    encoder.eval()
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.01)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder(torch.rand(2, *SHAPE), torch.tensor([1, 2]))
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())


def test_conditional_batch_norm_is_batch_norm_with_the_gain_and_bias_of_the_class() -> None:
    norm, x, y = BatchNorm(4, 3), torch.randn(6, 4, 5, 5), torch.tensor([0, 1, 2, 2, 1, 0])
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    got = norm(x, y)
    for label in range(3):
        of = F.batch_norm(x, None, None, norm.gain.weight[label], norm.bias.weight[label], training=True)
        torch.testing.assert_close(got[y == label], of[y == label])


def test_the_head_is_a_linear_function_and_the_projection_on_the_classs_vector() -> None:
    head, features, y = Head(5, 1, 3), torch.randn(4, 5), torch.tensor([2, 0, 1, 2])
    by_hand = [head.linear.weight[0] @ f + head.linear.bias[0] + head.of_label.weight[k] @ f
               for f, k in zip(features, y, strict=True)]  # fmt: skip
    torch.testing.assert_close(head(features, y)[:, 0], torch.stack(by_hand))


# ---------------------------------------------------------------------------------------------------------- objectives


def test_the_losses_of_sngan_are_the_hinge_of_one_pass() -> None:
    """Worked out once more from the same draws, in evaluation, where the power iteration stands still."""
    model, x = small("sngan").eval(), batch().x
    seen = updates(model, [batch()])
    with torch.no_grad():
        fake = model.generate(Noise.seeded(3).normal(8, 128))
        real, fake = model.discriminator(x * 2 - 1), model.discriminator(fake)
    assert seen["discriminator"] == pytest.approx((F.relu(1 - real) + F.relu(1 + fake)).mean().item(), abs=1e-5)
    assert seen["generator"] == pytest.approx(-fake.mean().item(), abs=1e-5)


def test_the_losses_of_r3gan_compare_pairs_and_penalize_both_sides() -> None:
    """γ/2 times R1 plus R2, and softplus of the difference within each pair."""
    model = small("r3gan", penalty=3.0).eval()
    seen = updates(model, [batch()])
    fake = model.generate(Noise.seeded(3).normal(8, 128)).detach()
    judged, squares = [], []
    for images in (batch().x * 2 - 1, fake):
        images.requires_grad_()
        values = model.discriminator(images)
        gradients = [torch.autograd.grad(value, images, retain_graph=True)[0] for value in values[:, 0]]
        squares.append(sum(gradient.square().sum() for gradient in gradients) / 8)
        judged.append(values)
    real, fake = judged
    by_hand = F.softplus(fake - real).mean() + 3 / 2 * (squares[0] + squares[1])
    assert seen["discriminator"] == pytest.approx(by_hand.item(), rel=1e-4)
    assert seen["generator"] == pytest.approx(F.softplus(real - fake).mean().item(), rel=1e-4)


def test_a_penalty_on_a_share_is_that_of_the_first_images_of_the_batch() -> None:
    """Worked out of the whole batch's squared gradients, image by image; and of all processes together."""
    model, (x, y) = small("cr3gan", penalty=3.0, penalty_share=0.375).eval(), batch()
    fake = model.generate(Noise.seeded(3).normal(8, 128), y).detach()
    shown = torch.cat([x * 2 - 1, fake]).requires_grad_()
    squares = squared_gradient(model.discriminator(shown, y.repeat(2))[:, 0], shown)
    real, of_fake = squares.detach().chunk(2)

    def penalty(rows: slice, world: int) -> float:
        """Of a process that has these rows."""
        here = torch.cat([half[rows] for half in shown.detach().chunk(2)])
        rng = Noise(torch.Generator(), rank=rows.start or 0, world=world)
        return model.slope(here, torch.empty(0), y[rows], rng)["penalty"].item()

    by_hand = 3 / 2 * (real[:3].mean() + of_fake[:3].mean()).item()
    assert penalty(slice(None), 1) == pytest.approx(by_hand, rel=1e-4)  # 3 of 8; float32 in another order
    for world in (2, 4, 8):  # of eight processes, five have none of the three rows
        assert sum(penalty(slice(i, None, world), world) for i in range(world)) / world == pytest.approx(
            by_hand, rel=1e-4
        )
    assert model.slope(shown, torch.empty(0), y, Noise.seeded(0))["penalty"].requires_grad


def test_the_squared_gradient_of_a_linear_function_is_that_of_its_weights() -> None:
    """And its own gradient, by the weights, is 2 w."""
    weights = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, *SHAPE, dtype=torch.float64, requires_grad=True)
    found = squared_gradient((x * weights).sum((1, 2, 3)), x)
    torch.testing.assert_close(found, weights.square().sum().expand(4))
    torch.testing.assert_close(torch.autograd.grad(found.mean(), weights)[0], 2 * weights)


def test_the_losses_of_acgan_add_the_classes_of_real_images_and_of_its_own() -> None:
    model = small("acgan", real_weight=2.0, fake_weight=0.5).eval()
    x, y = batch()
    seen = updates(model, [batch()])
    with torch.no_grad():
        fake = model.discriminator(model.generate(Noise.seeded(3).normal(8, 128), y))
        real = model.discriminator(x * 2 - 1)
    hinge = (F.relu(1 - real[:, 0]) + F.relu(1 + fake[:, 0])).mean()
    named = [-torch.log_softmax(out[:, 1:], 1)[range(8), y].mean() for out in (real, fake)]
    assert seen["discriminator"] == pytest.approx((hinge + 2 * named[0]).item(), abs=1e-5)
    assert seen["generator"] == pytest.approx((-fake[:, 0].mean() + 0.5 * named[1]).item(), abs=1e-5)


def test_wgans_weights_are_clipped_after_each_update_and_its_loss_is_the_difference_of_means() -> None:
    model, losses = small("wgan", clip=0.05, critic_steps=3), []
    with torch.no_grad():
        for weights in model.critic.parameters():
            weights.mul_(10)

    def update(name: str, loss: Tensor) -> None:
        losses.append((name, loss.item(), max(weights.abs().max().item() for weights in model.critic.parameters())))

    model.step([batch(seed=i) for i in range(3)], update, Noise.seeded(3), torch.zeros(()))
    assert [name for name, *_ in losses] == ["critic"] * 3 + ["generator"]
    assert losses[0][2] > 0.05 and all(largest == pytest.approx(0.05) for _, _, largest in losses[1:])
    again = small("wgan", clip=0.05)
    with torch.no_grad():
        for weights in again.critic.parameters():
            weights.mul_(10)
        fake = again.generate(Noise.seeded(3).normal(8, 128))
        by_hand = again.critic(fake).mean() - again.critic(batch(seed=0).x * 2 - 1).mean()
    assert losses[0][1] == pytest.approx(by_hand.item(), rel=1e-4)


def test_wgans_settings_are_the_papers() -> None:
    settings = MODELS["wgan"].settings
    assert (settings.clip, settings.critic_steps, settings.batch_size) == (0.01, 5, 64)
    critic = settings.optimizer_of("critic")
    assert (critic.kind, critic.lr) == ("rmsprop", 5e-5)


# -------------------------------------------------------------------------------------------------------- augmentation


def numbered(n: int = 64, side: int = 16) -> Tensor:
    """Images whose pixels are all different and not 0."""
    return (torch.arange(1, n * 3 * side * side + 1).view(n, 3, side, side) / (n * 3 * side * side)).float()


def test_translation_moves_whole_pixels_by_at_most_an_eighth() -> None:
    x, found = numbered(), set()
    for before, after in zip(x, CHANGES["translation"](x, Noise.seeded(0)), strict=True):
        fits = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                rolled = np.roll(before.numpy(), (down, right), (1, 2))
                rolled[:, : max(down, 0)], rolled[:, 16 + min(down, 0) :] = 0, 0
                rolled[:, :, : max(right, 0)], rolled[:, :, 16 + min(right, 0) :] = 0, 0
                fits += [(down, right)] if np.array_equal(rolled, after) else []
        assert len(fits) == 1, "each image is moved by one pair of numbers of its own"
        found.add(fits[0])
    assert {d for d, _ in found} == {r for _, r in found} == {-2, -1, 0, 1, 2} and len(found) > 15


def test_cutout_sets_a_square_of_half_the_side_to_0() -> None:
    x = numbered(256)
    kept = CHANGES["cutout"](x, Noise.seeded(0))
    gone = kept == 0
    assert torch.equal(kept[~gone], x[~gone]) and torch.equal(gone, gone[:, :1].expand_as(gone))
    rows, columns = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert torch.equal(gone[:, 0].flatten(1).sum(1), rows * columns), "a rectangle"
    assert rows.max() == columns.max() == 8 and rows.min() >= 7 // 2 and rows.float().std() > 0.5
    assert gone[:, 0].any(0).all(), "each place is cut out in some image"


def test_flip_mirrors_half_of_the_images() -> None:
    x = numbered(400)
    after = CHANGES["flip"](x, Noise.seeded(0))
    mirrored = torch.tensor([torch.equal(one, other.flip(2)) for one, other in zip(after, x, strict=True)])
    same = torch.tensor([torch.equal(one, other) for one, other in zip(after, x, strict=True)])
    assert (mirrored ^ same).all() and abs(mirrored.sum() - 200) < 4 * math.sqrt(100)


def test_color_changes_brightness_saturation_and_contrast_within_their_ranges() -> None:
    """Undone in reverse: the contrast is seen in the grays' spread, brightness in the mean, saturation in the rest."""
    x = numbered(256, 8)
    after = CHANGES["color"](x, Noise.seeded(0))
    brightness = after.mean((1, 2, 3)) - x.mean((1, 2, 3))
    contrast = after.mean(1).flatten(1).std(1) / x.mean(1).flatten(1).std(1)
    saturation = (
        (after - after.mean(1, keepdim=True))[:, 0, 0, 0] / (x - x.mean(1, keepdim=True))[:, 0, 0, 0] / contrast
    )
    for found, low, high in ((brightness, -0.5, 0.5), (contrast, 0.5, 1.5), (saturation, 0, 2)):
        width = 0.05 * (high - low)  # 256 uniform numbers come so near to both ends
        assert low - 1e-3 <= found.min() < low + width and high - width < found.max() <= high + 1e-3


@pytest.mark.parametrize("name", list(CHANGES))
def test_gradients_of_any_order_pass_through(name: str) -> None:
    """A change is linear in the image, so its gradient of (a . x)² by x is 2 (a . x) aᵀ, as the image goes."""
    x = torch.rand(2, 3, 8, 8, dtype=torch.float32, requires_grad=True)
    out = augmented(x, [name], Noise.seeded(0))
    a = torch.randn_like(out)
    (first,) = torch.autograd.grad((a * out).sum().square(), x, create_graph=True)
    assert first.shape == x.shape and first.abs().max() > 0
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert second.isfinite().all() and second.abs().max() > 0


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if hasattr(spec.settings, "augment")])
def test_every_gan_shows_its_other_network_changed_images_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All images, real and generated, in the updates of both networks."""
    spec = MODELS[name]
    model = build(spec, spec.settings.replace({**spec.small, "augment": "translation, cutout"}), SHAPE, 10)
    assert list(model.augment) == ["translation", "cutout"]
    monkeypatch.setattr("counterfeit.models.gan.base.augmented", lambda x, names, rng: torch.full_like(x, 0.25) + 0 * x)
    (judge,) = model.networks().keys() & {"discriminator", "critic"}
    seen: list[Tensor] = []
    model.networks()[judge].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    (stage,) = model.stages()
    stage.step([batch()] * stage.batches, lambda name, loss: None, Noise.seeded(0), torch.zeros(()))
    assert len(seen) >= 2 and all((x == 0.25).all() for x in seen)


@pytest.mark.parametrize("value", ["colour", "color,", "color,color", "", "none,flip"])
def test_augmentations_that_there_are_not_are_refused(value: str) -> None:
    with pytest.raises(InputError, match=f"--augment is '{value}'; it must be none, or one or more of color, "):
        MODELS["dcgan"].settings.replace({"augment": value})


@pytest.mark.parametrize("init", ["he", "normal"])
def test_an_initialization_fills_what_normalized_weights_are_computed_from(init: str) -> None:
    drawn, usual = small("sngan", init=init).discriminator, small("sngan").discriminator
    for one, other in zip(drawn.parameters(), usual.parameters(), strict=True):
        assert one.ndim < 2 or not torch.equal(one, other)
    if init == "normal":
        of_all = torch.cat([weights.flatten() for weights in drawn.parameters() if weights.ndim > 1])
        assert of_all.std().item() == pytest.approx(0.02, rel=0.05)  # some 3,000 numbers


@pytest.mark.parametrize("init", ["own", "normal", "he"])
def test_a_normalized_weight_has_norm_1_from_the_first_step(init: str) -> None:
    """However it is initialized; after 15 power iterations, to a fifth."""
    model = build(MODELS["sngan"], MODELS["sngan"].settings.replace({"init": init, "encoder_width": 8}), SHAPE, 0)
    layers = [m for m in model.modules() if parametrize.is_parametrized(m, "weight")]
    assert layers
    for layer in layers:
        layer.eval()  # no further iteration
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.2)


def test_what_normalizes_a_model_of_ones_own_may_be_pytorchs() -> None:
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
    before = layer.parametrizations.weight.original.detach().clone()
    initialize(layer, "normal")
    assert not torch.equal(layer.parametrizations.weight.original, before)


def test_spectral_norm_is_that_of_pytorch() -> None:
    """Outputs and gradients, after as many passes as both iterations, which begin elsewhere, need to meet."""
    layer = nn.Conv2d(3, 4, 3)
    ours, theirs = copy.deepcopy(layer), torch.nn.utils.parametrizations.spectral_norm(copy.deepcopy(layer))
    ours = spectral_norm(ours)
    x = torch.randn(2, 3, 5, 5)
    for _ in range(300):
        one, other = ours(x), theirs(x)
    torch.testing.assert_close(one, other)
    found = [torch.autograd.grad(y.square().sum(), part.parametrizations.weight.original)[0]
             for part, y in ((ours, one), (theirs, other))]  # fmt: skip
    torch.testing.assert_close(*found)


def test_the_augmentations_that_help_names_are_those_that_there_are() -> None:
    """Settings know them by name, since they import no torch."""
    assert set(gan.CHANGES) == set(CHANGES)
