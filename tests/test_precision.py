"""Training in bfloat16: products in it, all else in float32, and no score touched by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import counterfeit as cf
from counterfeit.nets import NETS
from counterfeit.nets.batch_norm import SharedBatchNorm
from counterfeit.scoring import Scorer
from counterfeit.system.distributed import ALONE
from counterfeit.system.isolation import isolated
from counterfeit.training.precision import computing_in
from loop_cases import BY_KIND, EXTREMES, prepared, quick, trained

every_model = pytest.mark.parametrize("name", BY_KIND)
CPU = torch.device("cpu")


@every_model
def test_bfloat16_is_near_float32_and_keeps_float32_weights(name: str, digits) -> None:
    """The first loss, before any step has moved the weights, differs by bfloat16's rounding, 2^-9 of each operand: by
    some tenths of a per cent after a handful of layers, and not by nothing, unless the net begins by giving zeros.
    A critic's loss is a difference of two means of about 0.05, which are rounded as they are."""
    state, config = prepared(name, images=64, precision="bfloat16", epochs=1)
    rough, fine = trained(state, config, digits), trained(*prepared(name, images=64, epochs=1), digits)
    first = next(iter(fine[0]))
    assert [losses.get(first) for losses in rough] != [losses.get(first) for losses in fine]
    assert rough[0][first] == pytest.approx(fine[0][first], rel=0.01, abs=5e-4)
    for group, tensors in state.tensors().items():
        kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
        assert kinds == {torch.float32}, group


@pytest.mark.parametrize("net", ["fc-vae", "fc-gan", "dcgan"])
def test_what_leaves_a_net_is_float32(net: str) -> None:
    encoder, decoder = NETS[net].encoder((1, 28, 28), 4, 32, 0), NETS[net].decoder((1, 28, 28), 4, 32, 0)
    with computing_in("bfloat16", CPU):
        images = decoder(torch.randn(8, 4))
        assert encoder(images).dtype == images.dtype == torch.float32


@pytest.mark.parametrize("net", ["fc-gan", "dcgan"])
def test_weights_that_have_moved_within_a_step_are_seen_moved(net: str) -> None:
    """The generator's loss asks the discriminator that has just been updated."""
    judge = NETS[net].encoder((1, 28, 28), 1, 32, 0)
    images = torch.rand(8, 1, 28, 28)
    with computing_in("bfloat16", CPU):
        before = judge(images)
        with torch.no_grad():
            for weight in judge.parameters():
                weight.mul_(2)
        assert not torch.equal(judge(images), before)


@pytest.mark.parametrize("name", EXTREMES)
def test_training_in_bfloat16_goes_on_exactly(name: str, digits, tmp_path) -> None:
    images, labels = digits
    settings = {"data": images[:200], "labels": labels[:200], "precision": "bfloat16", "quiet": True, **quick(name, 64)}
    settings["schedule"] = "constant"  # others follow the length of a run, which cannot be changed then
    whole = cf.train(name, out=tmp_path / "whole", epochs=2, **settings)
    cf.train(name, out=tmp_path / "parts", epochs=1, **settings)
    parts = cf.train(name, out=tmp_path / "parts", epochs=2, resume=True, **settings)
    assert np.array_equal(whole.sample(8, seed=0), parts.sample(8, seed=0))


def test_scores_while_training_are_computed_in_float32(tmp_path, monkeypatch) -> None:
    """Autocast ends with the step: a net that is asked between two steps must not be within it."""
    seen: list[bool] = []
    score = Scorer.score
    monkeypatch.setattr(
        Scorer, "score", lambda *a, **k: seen.append(torch.is_autocast_enabled("cpu")) or score(*a, **k)
    )
    cf.train("vae", "mnist5k", out=tmp_path / "run", epochs=1, precision="bfloat16", score_every=1, quiet=True)
    assert seen == [False]


def test_tf32_is_asked_for_within_steps_only() -> None:
    """What CUDA reads the flags of; whether the products then are TF32's, only a card can tell."""

    def flags() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    with isolated():
        for precision, wanted in (("tf32", ("high", True)), ("float32", ("highest", False))):
            with computing_in(precision, torch.device("cuda")):
                assert flags() == wanted
            assert flags() == ("highest", False)


def test_batch_norm_over_processes_takes_bfloat16() -> None:
    """Its moments are float32, whatever the layer before it computed in."""
    norm = SharedBatchNorm(nn.BatchNorm1d(4), ALONE)
    rough = torch.randn(64, 4).bfloat16()
    assert norm(rough).dtype == torch.float32
    assert torch.allclose(norm.running_mean, 0.1 * rough.float().mean(0), atol=1e-6)
