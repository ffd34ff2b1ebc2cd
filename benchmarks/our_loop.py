"""Our training loop, one step an item: a side of `make bench`, beside course_loop.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.base import Model
from counterfeit.models.build import build
from counterfeit.settings import RunSettings
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.training.loop import Stepped, run_steps
from counterfeit.training.state import State
from peer_loops import CRITIC_STEPS


def timed(name: str) -> RunSettings:
    """The settings by which a model is timed: its recipe's, but wgan-gp with the steps of the script beside it."""
    return MODELS[name].settings.replace({"critic_steps": CRITIC_STEPS} if name == "wgan-gp" else {})


def our_steps(name: str, data: str, **settings: Any) -> Iterator[None]:
    """Train a named model on a named data set for ever, with its recipe's settings but for those given."""
    keep_freed_memory()  # as the command does
    images = cf.load_data(data)
    model = build(MODELS[name], timed(name), images.shape, len(images.classes))
    yield from steps_of(model, name, images, **settings)


def steps_of(model: Model, name: str, images: cf.ImageSet, **settings: Any) -> Iterator[None]:
    """The same of a model that is there."""
    config = timed(name).replace({"epochs": 10_000, **settings})
    state = State.fresh(model, config, torch.device("cpu"))
    labels = torch.from_numpy(images.labels) if model.classes else None
    for event in run_steps(state, torch.from_numpy(images.images), labels, config):
        if isinstance(event, Stepped):
            yield
