"""The step as a CUDA graph, as far as a CPU can tell: a graph of the same contract stands in for CUDA's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from counterfeit.models import MODELS
from counterfeit.training import cuda_graph
from counterfeit.training.state import State
from loop_cases import TRAINED, prepared, stepped, trained

# Rates that are the same number in float32, in which a graph reads them from memory, and in Python's float.
RATES = {"lr": 2**-10, "lr_decay": 0.5, "schedule": "constant"}


class StandIn:
    """Records a step without doing it and does it again at the same places, as a CUDA graph would."""

    def __init__(self, state: State) -> None:
        self.state, self.replays = state, 0

    def warm_up(self, work: Callable):
        return work()

    def record(self, work: Callable):
        before = {
            group: {name: tensor.clone() for name, tensor in tensors.items()}
            for group, tensors in self.state.tensors().items()
        }
        self.work, self.results = work, work()
        self.state.load(before, self.state.step)
        for result in self.results.values():
            result.detach().fill_(torch.nan)  # nothing has been computed yet
        return self.results

    def replay(self) -> None:
        self.replays += 1
        for name, value in self.work().items():
            self.results[name].detach().copy_(value.detach())


@pytest.mark.parametrize(("name", "more"), [*((name, {}) for name in TRAINED), ("vae", {"binarize": "dynamic"})])
def test_a_replayed_step_is_the_step_bit_for_bit(name: str, more: dict[str, str], digits, monkeypatch) -> None:
    settings = {"ema": 0.9, "log_every": 4, **RATES, **more}  # losses of several steps are kept
    if hasattr(MODELS[name].settings, "lr_discriminator"):
        settings["lr_discriminator"] = None
    plain, config = prepared(name, cuda_graph=False, **settings)
    losses = trained(plain, config, digits)
    monkeypatch.setattr(cuda_graph, "can_record", lambda device: True)
    replayed, config = prepared(name, **settings)
    graph = StandIn(replayed)
    monkeypatch.setattr(cuda_graph, "CudaGraph", lambda generator: graph)

    assert trained(replayed, config, digits) == losses
    stages = len(replayed.model.stages())  # each is a recording of its own
    assert graph.replays == replayed.step - stages * cuda_graph.WARM_UP > 0
    for group, tensors in plain.tensors().items():
        for key, tensor in replayed.tensors()[group].items():
            assert torch.equal(tensor, tensors[key]), f"{group}/{key}"


class Reads(TorchDispatchMode):
    """Counts the values that are read from tensors: on a GPU each is a wait, and within a recording an error."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero"):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", list(MODELS))
def test_no_step_reads_a_value_back(name: str, digits) -> None:
    state, _ = prepared(name, ema=0.9)
    images, labels = (torch.from_numpy(part[:64]) for part in digits)
    with Reads() as mode:
        for state.step in range(2):
            stepped(state.model, images / 255, labels, state.update, state.rng)
            state.move_average(0.9)
    assert not mode.found
