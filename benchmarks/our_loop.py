"""Our training loop, one step an item: a side of `make bench`, beside course_loop.py."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import counterfeit as cf
from counterfeit.loop import Stepped, run_steps
from counterfeit.models import build
from counterfeit.recipes import RECIPES
from counterfeit.state import State


def our_steps(name: str, data: str) -> Iterator[None]:
    """Train a named model on a named data set for ever."""
    recipe, images = RECIPES[name], cf.load_data(data)
    config = recipe.config.replace({"epochs": 10_000})
    model = build(recipe, config, images.shape, len(images.classes))
    state = State.fresh(model, config, torch.device("cpu"))
    labels = torch.from_numpy(images.labels) if model.classes else None
    for event in run_steps(state, torch.from_numpy(images.images), labels, config):
        if isinstance(event, Stepped):
            yield
