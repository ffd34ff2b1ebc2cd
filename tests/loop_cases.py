"""Short trainings without a run folder, and what named models can do."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import (
    Batch,
    Encodes,
    HasBound,
    HasCodebook,
    HasLatents,
    HasTerms,
    Judges,
    Losses,
    Model,
    Update,
)
from counterfeit.models.build import build
from counterfeit.system.noise import Noise
from counterfeit.training.loop import Logged, run_steps
from counterfeit.training.state import State

# Models whose steps differ, for tests that train each: those that are based on none, and one of those that a search
# gave a moving average and two rates. What else it changed, a weight or the size of a batch, is a number to the steps.
_AVERAGED = [name for name, spec in MODELS.items() if spec.based_on and spec.settings.ema]
TRAINED = [name for name, spec in MODELS.items() if not spec.based_on or name == _AVERAGED[0]]


def prepared(name: str, device: str = "cpu", images: int = 16, **settings) -> tuple[State, ModelSettings]:
    """An untrained model of 28x28 gray images, and how it is to be trained: in steps of about so many images."""
    config = MODELS[name].settings.replace({**quick(name, images), "epochs": 3, "log_every": 1, **settings})
    return State.fresh(build(MODELS[name], config, (1, 28, 28), 10), config, torch.device(device)), config


def trained(state: State, config: ModelSettings, digits) -> list[dict[str, float]]:
    """Train on digits, three steps an epoch; the losses that were logged, by default of every step."""
    count = 3 * config.batch_size * max(stage.batches for stage in state.model.stages()) + 1
    images, labels = (torch.from_numpy(part[:count]).to(state.rng.generator.device) for part in digits)
    events = run_steps(state, images, labels if state.model.classes else None, config)
    return [event.losses for event in events if isinstance(event, Logged)]


def stepped(
    model: Model, x: Tensor, y: Tensor | None, update: Update, rng: Noise | None = None, progress: float = 0.0
) -> Losses:
    """The losses of a step of each of the model's stages, all of whose batches are this one."""
    batch, losses = Batch(x, y if model.classes else None), {}
    for stage in model.stages():
        losses |= stage.step([batch] * stage.batches, update, rng or Noise.seeded(0), torch.tensor(progress))
    return losses


def quick(name: str, images: int) -> dict[str, Any]:
    """Settings with which a model trains quickly: steps of about so many images, however many batches they are in."""
    return {**MODELS[name].small, "batch_size": images // max(stage.batches for stage in small(name).stages())}


def can(name: str, capability: type) -> bool:
    """Whether a named model has a capability, a protocol of `counterfeit.models.base`."""
    return isinstance(small(name), capability)


@cache
def small(name: str) -> Model:
    """A model of gray 28x28 digits, to be asked what it can do: it must stay as it is."""
    spec = MODELS[name]
    return build(spec, spec.settings.replace(spec.small), (1, 28, 28), 10)


# Those whose step takes fewest and most batches: for what `check_model` asks of every model, and a test asks by another
# door, where models differ no more.
_BY_BATCHES = sorted(TRAINED, key=lambda name: max(stage.batches for stage in small(name).stages()))
EXTREMES = list(dict.fromkeys([_BY_BATCHES[0], _BY_BATCHES[-1]]))


def _kind(name: str) -> tuple[Any, ...]:
    spec, model = MODELS[name], small(name)
    return *(isinstance(model, one) for one in CAPABILITIES), spec.conditional, type(spec.sampling), len(model.stages())


# One model for each set of what a run folder, its pictures and its scores ask of a model.
CAPABILITIES = (HasLatents, Encodes, HasTerms, HasBound, HasCodebook, Judges)
KINDS = list({_kind(name): name for name in reversed(TRAINED)}.values())[::-1]
# All, of which `make test` takes one of each kind, and `make full` the others: for what their steps alone decide.
BY_KIND = [name if name in KINDS else pytest.param(name, marks=pytest.mark.full) for name in TRAINED]
