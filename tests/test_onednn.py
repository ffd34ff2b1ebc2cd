"""Linear layers are multiplied by oneDNN on a CPU that has it, and where it is missing the user learns of it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import counterfeit as cf
from counterfeit.nets import linear
from counterfeit.training import checks

X86 = platform.machine() in ("x86_64", "AMD64")
SLOW = "this PyTorch has no oneDNN for linear layers"
SMALL = {"epochs": 1, "batch_size": 10, "latent": 2, "encoder_width": 16, "decoder_width": 16}


class Operators(TorchDispatchMode):
    """The names of all operators that are run, those of gradients too."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.fixture
def untold() -> Iterator[None]:
    """As in a fresh process, before and after."""
    checks._say_that_it_is_slow.cache_clear()
    yield
    checks._say_that_it_is_slow.cache_clear()


def train(out: Path, **settings: Any) -> cf.Run:
    return cf.train("vae", np.zeros((20, 8, 8), np.uint8), out=out, quiet=True, **SMALL, **settings)


@pytest.mark.skipif(not (X86 and torch.backends.mkldnn.is_available()), reason="PyTorch without oneDNN, or no x86")
@pytest.mark.parametrize("slope", [None, 0.0, 0.2])
def test_forward_and_both_gradients_are_products_of_onednn(slope: float | None) -> None:
    layer = linear.Linear(30, 20, slope)
    x = torch.randn(10, 30, requires_grad=True)
    with Operators() as ran:
        layer(x).sum().backward()
    assert ran.seen.count("mkldnn._linear_pointwise.default") == 3
    assert not [name for name in ran.seen if "mm" in name.split(".")[1]]  # aten.mm, aten.addmm, aten.bmm


@pytest.mark.skipif(not (X86 and torch.backends.mkldnn.is_available()), reason="PyTorch without oneDNN, or no x86")
def test_a_training_takes_it_says_nothing_and_keeps_that(tmp_path: Path, untold, capsys) -> None:
    with Operators() as ran:
        run = train(tmp_path / "run")
    assert "mkldnn._linear_pointwise.default" in ran.seen
    assert run.record.made_by["machine"]["onednn"] is True
    assert capsys.readouterr().err == ""


def test_where_it_is_missing_a_line_says_so_once(tmp_path: Path, untold, capsys, monkeypatch) -> None:
    monkeypatch.setattr(linear, "HAS_ONEDNN", False)
    with Operators() as ran:
        first = train(tmp_path / "first")
    assert "mkldnn._linear_pointwise.default" not in ran.seen
    train(tmp_path / "second")
    said = capsys.readouterr().err
    assert said.count(SLOW) == 1 and len(said.splitlines()) == 1
    assert cf.load(tmp_path / "first").record.made_by["machine"]["onednn"] is False
    assert first.sample(4).shape == (4, 1, 8, 8)


def test_where_it_would_not_be_taken_nobody_hears_of_it(tmp_path: Path, untold, capsys, monkeypatch) -> None:
    """In bfloat16 PyTorch's own layers compute."""
    monkeypatch.setattr(linear, "HAS_ONEDNN", False)
    train(tmp_path / "run", precision="bfloat16")
    assert SLOW not in capsys.readouterr().err
