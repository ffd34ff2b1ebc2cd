"""What the process around a call has set does not change its numbers, and is as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import backends

import counterfeit as cf
from counterfeit import detectors
from counterfeit.models import MODELS
from counterfeit.models.build import build_named
from counterfeit.system.float32 import CPU, GPU, NEWER
from counterfeit.system.isolation import alone, isolated

Digits = tuple[np.ndarray, np.ndarray]


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def matmul_precision() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def precision_of(library: Any, precision: str) -> Iterator[None]:
    """The newer form of the same settings, PyTorch 2.9's, with which the older one cannot be read any longer."""
    before = library.fp32_precision
    library.fp32_precision = precision
    try:
        yield
    finally:
        library.fp32_precision = before


def products() -> tuple[object, ...]:
    """How float32 is rounded, in both forms. The first is what raises where they disagree."""
    read = [torch.get_float32_matmul_precision, lambda: backends.cudnn.allow_tf32]
    found: list[object] = [backends.cudnn.deterministic, backends.cudnn.benchmark]
    for setting in read:
        try:
            found.append(setting())
        except RuntimeError as error:
            found.append(str(error))
    return (*found, *(operation.fp32_precision for operation in [*GPU, *CPU]))


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype": default_dtype,
    "default device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "matmul precision": matmul_precision,
    "quick convolutions": lambda: backends.cudnn.flags(enabled=True, benchmark=True),
    **({"mkldnn's precision": lambda: precision_of(backends.mkldnn.matmul, "bf16")} if NEWER else {}),
    **({"cuda's precision": lambda: precision_of(backends.cuda.matmul, "tf32")} if NEWER else {}),
    "numpy's errors": lambda: np.errstate(all="raise"),
}


def everything(digits: Digits, out: Path, model: str = "cvae", seed: int = 0) -> list[object]:
    """Train, sample, encode and score: all numbers that come out of it."""
    images, labels = digits
    run = cf.train(model, images[:500], labels=labels[:500], epochs=1, batch_size=100, seed=seed, out=out, quiet=True)
    score = cf.score(run.sample(200, seed=1), images[500:], n=200, detector="mnist-cnn", metrics="fid,kid,is")
    last = run.log[-1]
    return [
        run.weights_sha256,
        run.sample(8).tobytes(),
        detectors.load("mnist-cnn")(images[:8]).features.tobytes(),
        next(run.sample_batches(8, batch_size=3)).tobytes(),
        run.noise(4).tobytes(),
        {name: one.value for name, one in score.items()},
        {name: value for name, value in last.items() if name != "images_per_s"},
    ]


@pytest.fixture(scope="module")
def undisturbed() -> list[object]:
    """What the first test to ask for it finds, for all of them."""
    return []


@pytest.mark.parametrize("name", [name for name in SURROUNDINGS if name != "cuda's precision"])
def test_surroundings_change_no_number(
    digits: Digits, cache: Path, tmp_path: Path, name: str, undisturbed: list[object]
) -> None:
    if not undisturbed:  # with a cache of its own: none of its features is met again below
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "another"))
            undisturbed.append(everything(digits, tmp_path / "undisturbed"))
    with SURROUNDINGS[name]():
        assert everything(digits, tmp_path / "disturbed") == undisturbed[0]


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_surroundings_are_put_back(name: str) -> None:
    def seen() -> tuple[object, ...]:
        return (
            torch.get_default_dtype(),
            torch.get_default_device(),
            products(),
            torch.is_autocast_enabled("cpu"),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            np.geterr(),
        )

    @alone
    def inside() -> tuple[object, ...]:
        return seen()

    @alone
    def items() -> Iterator[tuple[object, ...]]:
        yield seen()
        yield seen()

    with isolated():
        usual = seen()
    with SURROUNDINGS[name]():
        around = seen()
        assert around != usual
        assert inside() == usual
        for item in items():
            assert item == usual
            assert seen() == around  # between two items the user's own settings hold
        assert seen() == around


def test_nested_and_failing_calls_put_back_too() -> None:
    @alone
    def outer(fail: bool) -> None:
        assert alone(torch.get_default_dtype)() is torch.float32
        if fail:
            raise ValueError

    with default_dtype():
        outer(fail=False)
        with pytest.raises(ValueError):
            outer(fail=True)
        assert torch.get_default_dtype() is torch.float64


def test_trainings_in_threads_are_those_of_one_after_the_other(digits: Digits, cache: Path, tmp_path: Path) -> None:
    jobs = [("vae", 0), ("gan", 1), ("vae", 2)]
    serial = [everything(digits, tmp_path / f"serial-{model}-{seed}", model, seed) for model, seed in jobs]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with default_dtype(), ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(lambda job: everything(digits, tmp_path / f"threads-{job[0]}-{job[1]}", *job), jobs))
        assert torch.get_default_dtype() is torch.float64
    assert found == serial
    assert torch.equal(torch.rand(3), expected)  # the user's own random numbers are not disturbed


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_leave_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(0)
    first = build_named(name, (1, 28, 28), 10)
    state = torch.get_rng_state()
    torch.manual_seed(1)  # another state changes nothing
    second = build_named(name, (1, 28, 28), 10)
    assert torch.equal(state, torch.manual_seed(0).get_state())
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
