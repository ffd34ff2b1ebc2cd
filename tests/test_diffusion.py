"""What flow and ddpm share: their nets, labels that are hidden in training, and guidance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import counterfeit as cf
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.build import build, build_named
from counterfeit.models.flow import GuidedFlowSampling
from counterfeit.models.flow.model import Flow
from counterfeit.nets.condition import Condition, embedded
from counterfeit.nets.dit import DiT, positions
from counterfeit.nets.pair import Shape
from counterfeit.nets.unet import UNet
from counterfeit.system.noise import Noise


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def with_weights(net: nn.Module) -> nn.Module:
    """Weights that are none of them 0, as many are at first: so no block does anything."""
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise)
    return net


# ----------------------------------------------------------------------------------------------------------------- nets


def dit(shape: Shape, classes: int = 0) -> DiT:
    return DiT(shape, 16, 2, 4, classes)


def unet(shape: Shape, classes: int = 0) -> UNet:
    return UNet(shape, 8, classes)


def patch_unet(shape: Shape, classes: int = 0) -> UNet:
    return UNet(shape, 8, classes, patch=2)


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        *((unet, shape) for shape in [(1, 28, 28), (3, 32, 32), (3, 17, 9), (1, 8, 8)]),
        (patch_unet, (3, 32, 16)),
        (dit, (3, 32, 16)),
    ],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_a_net_knows_time_and_label_and_an_images_result_is_not_its_neighbors(net, shape: Shape) -> None:
    made = with_weights(net(shape, 10))
    x, y = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 10])
    early, late = (made(x, torch.full((2,), t), y) for t in (0.1, 0.9))
    assert early.shape == x.shape and not torch.allclose(early, late)
    other = made(x, torch.full((2,), 0.1), torch.tensor([3, 5]))
    assert torch.equal(other[0], early[0]) and not torch.allclose(other[1], early[1])
    torch.testing.assert_close(made(x[:1], torch.full((1,), 0.1), y[:1]), early[:1], rtol=1e-4, atol=1e-5)


def test_a_patch_of_the_dit_is_a_patch_of_the_image_at_its_place() -> None:
    """Without blocks a token sees its own patch only: what moves one pixel moves the 4x4 pixels around it alone."""
    made = with_weights(DiT((3, 12, 8), 16, 0, 4))
    x, t = torch.zeros(1, 3, 12, 8), torch.full((1,), 0.5)
    moved = x.clone()
    moved[0, 1, 5, 6] = 1  # in the patch of rows 4 to 7 and columns 4 to 7
    changed = (made(moved, t) - made(x, t)).abs().amax(dim=(0, 1)) > 1e-6
    expected = torch.zeros(12, 8, dtype=torch.bool)
    expected[4:8, 4:8] = True
    assert torch.equal(changed, expected)
    patches = made(x, t).unfold(2, 4, 4).unfold(3, 4, 4)  # equal patches differ by their places
    assert not torch.allclose(patches[:, :, 0, 0], patches[:, :, 1, 0])
    assert not torch.allclose(patches[:, :, 0, 0], patches[:, :, 0, 1])


def test_attention_of_the_dit_is_softmax_of_products() -> None:
    """Vaswani et al. 2017, eq. 1, by hand for each of two heads."""
    block = with_weights(dit((1, 8, 8)).blocks[0])
    block.heads = 2
    x = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    q, k, v = block.qkv(x).chunk(3, dim=-1)
    heads = []
    for part in (slice(0, 8), slice(8, 16)):
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(8)).softmax(-1)
        heads.append(weights @ v[..., part])
    torch.testing.assert_close(block.attention(x), block.out(torch.cat(heads, -1)), rtol=1e-4, atol=1e-5)


def test_places_are_sines_and_cosines_of_row_and_column() -> None:
    found = positions(2, 3, 8)
    assert found.shape == (6, 8)
    by_hand = [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]  # rates 1 and 1 / 100
    torch.testing.assert_close(found[1 * 3 + 2, :4], torch.tensor(by_hand))  # row 1
    torch.testing.assert_close(found[0 * 3 + 1, 4:], torch.tensor(by_hand))  # column 1


def test_a_fresh_dit_gives_zeros_and_blocks_start_as_their_skip() -> None:
    made = dit((1, 8, 8))
    assert not made(torch.rand(2, 1, 8, 8), torch.rand(2)).any()
    x = torch.rand(2, 4, 16)
    assert torch.equal(made.blocks[0](x, torch.rand(2, 16)), x)


def test_the_condition_is_the_sum_of_both_embeddings_and_none_adds_nothing() -> None:
    made = with_weights(Condition(16, classes=3))
    t = torch.tensor([0.1, 0.5])
    of_time = made[2](made[1](made[0](embedded(t))))
    found = made(t, torch.tensor([2, 3]))  # 3 is none
    torch.testing.assert_close(found[0], nn.functional.silu(of_time[0] + made.labels[2]))
    torch.testing.assert_close(found[1], nn.functional.silu(of_time[1]))


@pytest.mark.parametrize(
    ("name", "settings", "shape", "parameters"),
    [
        ("flow", {"net": "unet"}, (1, 28, 28), 624_801),
        ("flow", {"net": "unet"}, (3, 32, 32), 625_955),
        # Of blocks of 2x2: three colors more per color for the first convolution and the last, of 9 weights each to and
        # from 32 channels, and as many biases of the last.
        ("flow", {}, (1, 28, 28), 624_801 + 3 * (2 * 9 * 32 + 1)),
        # A label's embedding has 4 x 32 numbers.
        ("cflow", {}, (1, 28, 28), 624_801 + 3 * (2 * 9 * 32 + 1) + 10 * 128),
        ("cflow", {}, (3, 32, 32), 625_955 + 9 * (2 * 9 * 32 + 1) + 10 * 128),
        ("ddpm", {"net": "unet"}, (1, 28, 28), 624_801),
        # DiT of d = 128: time 64 d + d + d² + d; stem 16 d + d; four layers of 6 (d² + d) for the condition, 4 (d² + d)
        # of attention and 8 d² + 5 d of the MLP; 2 (d² + d) and a head of 16 d + 16.
        ("flow", {"net": "dit"}, (1, 28, 28), 1_249_424),
        ("ddpm", {"net": "dit"}, (3, 32, 32), 1_249_424 + 2 * 16 * 2 * 128 + 2 * 16),
    ],
)
def test_parameter_counts(name: str, settings: dict, shape: Shape, parameters: int) -> None:
    spec = MODELS[name]
    assert count(build(spec, spec.settings.replace(settings), shape, 10)) == parameters


def test_sides_that_the_patch_does_not_divide_are_refused_in_one_line() -> None:
    spec = MODELS["flow"]
    with pytest.raises(
        InputError, match=r"into patches of 4x4, and 30x28 is no multiple of that: pass another --patch"
    ):
        build(spec, spec.settings.replace({"net": "dit"}), (1, 30, 28), 0)
    build(spec, spec.settings.replace({"net": "dit", "patch": 2, **spec.small}), (1, 30, 28), 0)


def test_a_run_of_before_there_were_nets_is_one_of_the_unet_of_pixels() -> None:
    values = {"width": 8, "epochs": 3, "ema": 0.9}
    found = MODELS["flow"].read(values)
    assert (found.net, found.width, found.ema) == ("unet", 8, 0.9)
    keys = build_named("flow", (1, 28, 28)).state_dict()
    assert {"net.time.0.weight", "net.time.2.bias", "net.down.0.first.2.weight", "net.up.0.skip.weight"} <= set(keys)


# ------------------------------------------------------------------------------------------------- labels and guidance


class Told(nn.Module):
    """Says the label that it is given, in all pixels, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.seen.append(y)
        return torch.zeros_like(x) + y.view(-1, 1, 1, 1) + self.weight


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_share_of_the_labels_is_hidden_in_training_and_none_in_the_test_loss(share: float) -> None:
    model = Flow(Told(), (1, 2, 2), 10, share)
    y = torch.arange(4000) % 10
    hidden = model.with_some_hidden(y, Noise.seeded(0))
    assert (hidden == 10).float().mean().item() == pytest.approx(share, abs=0.03)  # standard error 0.007
    assert torch.equal(hidden[hidden != 10], y[hidden != 10])
    model.step([(torch.rand(4000, 1, 2, 2), y)], lambda *_: None, Noise.seeded(0), torch.zeros(()))
    assert (model.net.seen[-1] == 10).any() == bool(share)
    model.terms(torch.rand(4000, 1, 2, 2), y, Noise.seeded(0))
    assert torch.equal(model.net.seen[-1], y)


@pytest.mark.parametrize(("scale", "passes"), [(1.0, 1), (0.0, 1), (2.5, 2)])
def test_guidance_is_the_line_through_both_predictions(scale: float, passes: int) -> None:
    """From K = 10, without a label, to 4: 10 + s (4 - 10)."""
    model = Flow(Told(), (1, 2, 2), 10, 0.1)
    found = model.predicted(torch.zeros(3, 1, 2, 2), 0.5, torch.full((3,), 4), GuidedFlowSampling(guidance=scale))
    torch.testing.assert_close(found, torch.full_like(found, 10 - 6 * scale))
    assert len(model.net.seen) == passes


def test_guidance_without_hidden_labels_is_refused_in_one_line() -> None:
    model = Flow(Told(), (1, 2, 2), 10, 0.0)
    z, y = torch.zeros(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64)
    model.decode(z, y, GuidedFlowSampling(steps=1))
    with pytest.raises(InputError, match="--guidance 2 needs a model that was trained with a --label-dropout above 0"):
        model.decode(z, y, GuidedFlowSampling(steps=1, guidance=2.0))
    with pytest.raises(InputError, match="--guidance is -1"):
        GuidedFlowSampling(guidance=-1.0)
    for share in (-0.1, 1.0):
        with pytest.raises(InputError, match=f"--label-dropout is {share}"):
            MODELS["cflow"].settings.replace({"label_dropout": share})


def test_a_trained_conditional_flow_is_guided_by_an_option(tmp_path: Path, digits) -> None:
    spec = MODELS["cflow"]
    settings = {"labels": digits[1][:64], "epochs": 1, "batch_size": 32, "lr": 0.01, "ema": 0.0, **spec.small}
    run = cf.train("cflow", digits[0][:64], out=tmp_path / "run", quiet=True, **settings)
    plain, guided = (run.with_sampling(steps=2, guidance=scale) for scale in (1.0, 8.0))
    assert not np.array_equal(plain.sample(4, labels=3), guided.sample(4, labels=3))
    assert np.array_equal(guided.sample(4, labels=3), guided.decode(guided.noise(4), labels=[3] * 4))


@pytest.mark.parametrize("name", ["flow", "cflow", "ddpm"])
@pytest.mark.parametrize("setting", ["layers", "patch"])
def test_what_is_the_dits_is_refused_for_a_unet(name: str, setting: str) -> None:
    with pytest.raises(InputError, match=f"--{setting} is for --net dit, and it is patch-unet: leave it out"):
        MODELS[name].settings.replace({setting: 2})
    assert getattr(MODELS[name].settings.replace({"net": "dit", setting: 2}), setting) == 2
