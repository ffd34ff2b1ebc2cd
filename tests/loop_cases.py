"""Short trainings without a run folder."""

from __future__ import annotations

from functools import cache

import torch

from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Autoencoder
from counterfeit.models.build import build, build_named
from counterfeit.training.loop import Logged, run_steps
from counterfeit.training.state import State

# Models whose steps differ, for tests that train each: those that are based on none, and those with a moving average
# and two rates. What else a search changed, a weight or the size of a batch, is a number to the steps.
TRAINED = [name for name, spec in MODELS.items() if not spec.based_on or spec.settings.ema]


def prepared(name: str, device: str = "cpu", **settings) -> tuple[State, ModelSettings]:
    """An untrained model of 28x28 grey images, and how it is to be trained."""
    config = MODELS[name].settings.replace({"epochs": 3, "batch_size": 64, "log_every": 1, **settings})
    return State.fresh(build(MODELS[name], config, (1, 28, 28), 10), config, torch.device(device)), config


def trained(state: State, config: ModelSettings, digits) -> list[dict[str, float]]:
    """Train on 200 digits, three steps an epoch; the losses that were logged, by default of every step."""
    images, labels = (torch.from_numpy(part[:200]).to(state.rng.generator.device) for part in digits)
    events = run_steps(state, images, labels if state.model.classes else None, config)
    return [event.losses for event in events if isinstance(event, Logged)]


@cache
def encodes(name: str) -> bool:
    """Whether a named model maps images to codes, and so reconstructs them."""
    return isinstance(build_named(name, (1, 28, 28), 10), Autoencoder)
