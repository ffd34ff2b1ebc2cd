"""What only a card can tell (make gpu): the recorded step, exact continuation, numbers against the CPU's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit import sampling
from counterfeit.data.pixels import to_float
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.base import HasTerms
from counterfeit.runs import RunFolder
from counterfeit.system.isolation import isolated
from counterfeit.system.noise import Noise
from counterfeit.training.loop import Stepped
from counterfeit.training.state import State
from counterfeit.training.trainer import Training
from loop_cases import can, prepared, quick, stepped, trained

CARD = "cuda"

pytestmark = pytest.mark.gpu
every_model = pytest.mark.parametrize("name", list(MODELS))


@pytest.fixture(autouse=True)
def as_every_command_does() -> Iterator[None]:
    """Products of float32 are exact, and kernels are chosen by their bits and not their speed."""
    with isolated():
        yield


def assert_equal(one: State, other: State) -> None:
    """Weights, moments, moving average and noise, bit for bit."""
    for group, tensors in one.tensors().items():
        for key, tensor in other.tensors()[group].items():
            assert torch.equal(tensor, tensors[key]), f"{group}/{key}"


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@every_model
def test_the_recorded_step_is_the_step_bit_for_bit(name: str, precision: str, digits) -> None:
    settings = {"ema": 0.9, "precision": precision, "epochs": 5, "lr_decay": 0.9}
    plain, config = prepared(name, "cuda", **settings, cuda_graph=False)
    losses = trained(plain, config, digits)
    recorded, config = prepared(name, "cuda", **settings, cuda_graph=True)
    assert trained(recorded, config, digits) == losses
    assert_equal(recorded, plain)


@every_model
def test_a_run_goes_on_exactly(name: str, digits, tmp_path) -> None:
    """Stopped within an epoch, with what its recipe has of schedules and averages of weights."""
    images, labels = (part[:200] for part in digits)
    config = MODELS[name].settings.replace({"data": "array", "device": CARD, "epochs": 4, **quick(name, 64)})
    done: list[int] = []

    def trained_into(folder: str, stop: int | None = None, resume: bool = False) -> np.ndarray:
        training = Training(name, config, RunFolder(tmp_path / folder), resume=resume, array=images, labels=labels)
        done.extend(e.step for e in training.events(lambda: stop in done) if isinstance(e, Stepped))
        return cf.load(tmp_path / folder).sample(64, seed=0)

    whole, half = trained_into("whole"), done[-1] // 2 + 1
    done.clear()
    halfway = trained_into("parts", stop=half)
    assert done[-1] == half
    parts = trained_into("parts", resume=True)
    assert np.array_equal(whole, parts) and not np.array_equal(whole, halfway)


@every_model
def test_the_same_noise_trains_alike(name: str, digits) -> None:
    """Three steps by noise that the CPU draws for both. What is left is the rounding of float32, 6e-8 of each product,
    which Adam's first steps can make larger where a gradient is nearly zero: its sign is a whole step."""
    losses = []
    for device in ("cpu", "cuda"):
        state, _ = prepared(name, device)
        state.rng = Noise.seeded(0, device)
        images, labels = (torch.from_numpy(part[:192]).to(device).split(64) for part in digits)
        for x, y in zip(images, labels, strict=True):
            found = stepped(state.model, to_float(x), y, state.update, state.rng)
        losses.append({key: loss.item() for key, loss in found.items()})
    assert losses[1] == pytest.approx(losses[0], rel=1e-3, abs=2e-4)


@pytest.mark.parametrize("name", [name for name in MODELS if can(name, HasTerms)])
def test_losses_of_test_images_are_the_cpus(name: str, digits) -> None:
    """By the same noise: what is left is the rounding of float32."""
    on_cpu, on_cuda = (prepared(name, device)[0].model.eval() for device in ("cpu", "cuda"))
    images, labels = (part[:200] for part in digits)
    labels = labels if on_cpu.classes else None
    wanted = sampling.mean_terms(on_cpu, images, labels, seed=0)
    assert sampling.mean_terms(on_cuda, images, labels, seed=0) == pytest.approx(wanted, rel=1e-5)


@every_model
def test_the_same_weights_draw_the_same_pictures(name: str, digits, tmp_path) -> None:
    """A run of the CPU sampled on the card and there again: float32's rounding of sums of a few hundred terms, which is
    at most one of 255 levels, in few pixels."""
    images, labels = digits
    settings = {"labels": labels[:200], "epochs": 1, "quiet": True, **quick(name, 64)}
    cf.train(name, images[:200], out=tmp_path / "run", device="cpu", **settings)
    on_cpu, on_cuda = (cf.load(tmp_path / "run", device=device).sample(64).astype(int) for device in ("cpu", "cuda"))
    assert abs(on_cpu - on_cuda).max() <= 1
    assert (on_cpu != on_cuda).mean() < 0.02


def test_scores_are_the_cpus(digits, tmp_path) -> None:
    images, _ = digits
    fakes = cf.train("vae", images, out=tmp_path / "run", epochs=1, device="cpu", quiet=True).sample(1000)
    settings = {"real": images, "detector": "mnist-cnn", "n": 1000}
    on_cpu, on_cuda = (cf.score(fakes, **settings, device=device).metrics for device in ("cpu", "cuda"))
    for name, value in on_cpu.items():
        assert on_cuda[name].value == pytest.approx(value.value, rel=1e-3), name


def test_a_step_that_cannot_be_recorded_says_so(digits, monkeypatch) -> None:
    """Such as one of somebody's own model that reads a value from the card."""
    state, config = prepared("vae", "cuda")
    step = type(state.model).step
    monkeypatch.setattr(
        type(state.model), "step", lambda self, batches, *rest: batches[0].x.sum().item() and step(self, batches, *rest)
    )
    with pytest.raises(InputError, match="cannot be recorded as a CUDA graph .*: --no-cuda-graph trains without"):
        trained(state, config, digits)
    state, config = prepared("vae", "cuda", cuda_graph=False)
    trained(state, config, digits)
