"""Trains a few models for a few steps and keeps the weights; run as a script, under torchrun, by test_processes.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from counterfeit import data
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.system import distributed
from counterfeit.system.distributed import Alone, Group
from counterfeit.training import loop
from counterfeit.training.loop import Logged, Stepped, run_steps
from counterfeit.training.state import State
from toy_cases import Chunked, TwoStages, registered, spec_of

STEPS = 20
# Settings that differ from the recipe's. dcgan is the one with batch norm, and small to be quick; the last are toys,
# which cut their batch up, and whose stages take ten steps each.
CASES = {
    "vae": {"ema": 0.9, "binarize": "dynamic"},
    "cvae": {},
    "ae": {},
    "gan": {"ema": 0.9, "instance_noise": 0.1},
    "dcgan": {"ema": 0.9, "batch_size": 24, "encoder_width": 32, "decoder_width": 32},
    "cgan": {"batch_size": 24, "encoder_width": 32, "decoder_width": 32},
    # The penalty is on three rows of a batch: two of the first process, one of the other. On a background of one value
    # all that max-pooling chooses among is equal up to rounding, and the slope hangs on which it takes: noise decides.
    "cr3gan": {"batch_size": 24, "instance_noise": 0.1, "encoder_width": 32, "decoder_width": 32},
    "wgan-gp": {"batch_size": 24, "critic_steps": 2, "encoder_width": 32, "decoder_width": 32},
    "flow": {"batch_size": 24, "width": 8},
    "chunked": {"clip_norm": 0.1, "weight_decay": 0.1},
    "twostages": {"first_epochs": 1, "epochs": 2, "batch_size": 500, "optimizer": "rmsprop", "betas": (0.0, 0.9)},
}
# A GAN's steps amplify what rounding leaves, some tenfold in ten steps: only in float64 can they be told from a fault.
# So does Adam in a flow, whose blocks begin at 0: it makes whole steps of gradients that are hardly more than rounding.
# Toys are as quick in float64.
IN_FLOAT64 = ("gan", "dcgan", "cgan", "cr3gan", "wgan-gp", "flow", "chunked", "twostages")


class One(Alone):  # type: ignore[misc]
    """A process that takes itself for one of several, and asks nothing of the others."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world


def trained(name: str, group: Group) -> dict[str, Tensor]:
    """All tensors of the state after STEPS steps, and the losses logged last."""
    with registered(spec_of(Chunked), spec_of(TwoStages)):
        return _trained(name, group)


def _trained(name: str, group: Group) -> dict[str, Tensor]:
    digits = data.load("mnist5k")
    config = MODELS[name].settings.replace({"log_every": STEPS, **CASES[name]})
    with float64() if name in IN_FLOAT64 else nullcontext():
        model = build(MODELS[name], config, digits.shape, 10)
        state = State.fresh(model, config, torch.device("cpu"), group)
        labels = torch.from_numpy(digits.labels) if model.classes else None
        logged: dict[str, float] = {}
        for event in run_steps(state, torch.from_numpy(digits.images.copy()), labels, config):
            logged = event.losses if isinstance(event, Logged) else logged
            if state.step == STEPS and not isinstance(event, Stepped):
                break
        losses = {f"losses.{key}": torch.tensor(value) for key, value in logged.items()}
    groups = state.tensors()
    return losses | {f"{kind}.{key}": value.clone() for kind in groups for key, value in groups[kind].items()}


@contextmanager
def float64() -> Iterator[None]:
    """Weights, images and noise in double precision."""
    ours = loop.to_float
    torch.set_default_dtype(torch.float64)
    loop.to_float = lambda pixels: pixels.double() / 255
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        loop.to_float = ours


if __name__ == "__main__":
    together = distributed.join("cpu")
    for case in CASES:
        path = Path(sys.argv[1]) / f"{case}-{together.rank}.safetensors"
        safetensors.torch.save_file({k: v.contiguous() for k, v in trained(case, together).items()}, path)
