"""The step as a CUDA graph, as far as a CPU can tell: a graph of the same contract stands in for CUDA's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from counterfeit.capture import WARM_UP
from counterfeit.loop import run_steps
from counterfeit.models import build
from counterfeit.recipes import RECIPES
from counterfeit.state import State

EPOCHS, BATCH = 3, 64
every_model = pytest.mark.parametrize("name", list(RECIPES))


# Rates that are the same number in float32, in which a graph reads them from memory, and in Python's float.
RATES = {"lr": 2**-10, "lr_discriminator": None, "lr_decay": 0.5}


def prepared(name: str, **settings) -> State:
    config = RECIPES[name].config.replace({"epochs": EPOCHS, "batch_size": BATCH, **settings})
    return State.fresh(build(RECIPES[name], config, (1, 28, 28), 10), config, torch.device("cpu"))


def trained(name: str, digits, **settings) -> tuple[State, list[dict[str, float]]]:
    """After all steps, and the losses that were logged."""
    config = RECIPES[name].config.replace({"epochs": EPOCHS, "batch_size": BATCH, "log_every": 1, **settings})
    state = prepared(name, **settings)
    images, labels = (torch.from_numpy(part[:200]) for part in digits)
    events = list(run_steps(state, images, labels if state.model.classes else None, config))
    return state, [event.losses for event in events if hasattr(event, "losses")]


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


@pytest.mark.parametrize(("name", "binarise"), [*((name, "none") for name in RECIPES), ("vae", "dynamic")])
def test_a_replayed_step_is_the_step_bit_for_bit(name: str, binarise: str, digits, monkeypatch) -> None:
    made: list[StandIn] = []
    plain, losses = trained(name, digits, ema=0.9, **RATES, binarise=binarise)

    def stand_in(_) -> StandIn:
        made.append(StandIn(states[0]))
        return made[0]

    states: list[State] = []
    fresh = State.fresh.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr("counterfeit.loop.CudaGraph", stand_in)
    monkeypatch.setattr(State, "fresh", classmethod(lambda *args: states.append(fresh(*args)) or states[0]))
    graph, replayed = trained(name, digits, ema=0.9, **RATES, binarise=binarise, cuda_graph=True)

    assert made[0].replays == graph.step - WARM_UP > 0
    assert replayed == losses
    for group, tensors in plain.tensors().items():
        for key, tensor in graph.tensors()[group].items():
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


@every_model
def test_no_step_reads_a_value_back(name: str, digits) -> None:
    state = prepared(name, ema=0.9)
    images, labels = (torch.from_numpy(part[:BATCH]) for part in digits)
    with Reads() as mode:
        for state.step in range(2):
            state.model.step(images / 255, labels if state.model.classes else None, state.update, state.rng)
            state.move_average(0.9)
    assert not mode.found
