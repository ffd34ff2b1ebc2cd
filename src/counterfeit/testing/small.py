"""A model as it is checked: small, on made images, for a few steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Model
from counterfeit.models.build import build
from counterfeit.models.spec import Optimizer as Recipe
from counterfeit.nets import Shape
from counterfeit.runs import RunFolder
from counterfeit.system.distributed import ALONE, Group
from counterfeit.training.loop import Logged, Stepped, run_steps
from counterfeit.training.optimizers import Optimizer
from counterfeit.training.state import State
from counterfeit.training.trainer import Training

SHAPES: tuple[Shape, ...] = ((1, 28, 28), (3, 32, 32))
CLASSES, BATCH, STEPS = 10, 8, 3  # of labels; images in a batch; steps in the shortest epoch
CPU = torch.device("cpu")


def settings_of(name: str) -> ModelSettings:
    """Small ones, with as few epochs as the model's stages take."""
    spec = MODELS[name]
    always = {"data": "array", "device": "cpu", "batch_size": BATCH, "log_every": 1, "warm_up": 0, "ema": 0.9}
    config = spec.settings.replace({**spec.small, **always})
    before = [stage.epochs or 1 for stage in built(name, config, SHAPES[0]).stages()[:-1]]
    return config.replace({"epochs": sum(before) + 1})


@contextmanager
def variant(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """The name of a model with some settings changed, which is registered within; of none, the model itself."""
    if not settings:
        yield name
        return
    spec, words = MODELS[name], "-".join(f"{key}-{value}" for key, value in settings.items())
    small = {key: value for key, value in spec.small.items() if key not in settings}
    other = replace(spec, name=f"{name}-{words}", settings=spec.changed(spec.settings, settings), small=small)
    MODELS.add(other.name, other)
    try:
        yield other.name
    finally:
        MODELS.remove(other.name)


def built(name: str, config: ModelSettings, shape: Shape) -> Model:
    return build(MODELS[name], config, shape, CLASSES)


def images_for(shape: Shape, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Coarse blocks under grain, uint8 (N, C, H, W), with labels: STEPS steps of the stage that takes most of them."""
    channels, height, width = shape
    n = STEPS * BATCH * max(stage.batches for stage in model.stages())
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 128, (n, channels, 4, 4), np.uint8).repeat(height // 4, axis=2).repeat(width // 4, axis=3)
    # Grain, so that no two pixels are equal: which of them is the larger would be for rounding to say.
    return blocks + rng.integers(0, 128, blocks.shape, np.uint8), np.arange(n) % CLASSES


def fresh(name: str, shape: Shape, group: Group = ALONE, seed: int = 0) -> tuple[State, ModelSettings, Tensor, Tensor]:
    """An untrained state, its settings, and what to train it on."""
    config = settings_of(name).replace({"seed": seed})
    model = built(name, config, shape)
    images, labels = images_for(shape, model)
    return State.fresh(model, config, CPU, group), config, torch.from_numpy(images), torch.from_numpy(labels)


def train(
    name: str, config: ModelSettings, folder: Path, data: tuple[np.ndarray, np.ndarray], stop_at: int | None
) -> None:
    """Begin a run or go on with it, until so many steps are done or to its end."""
    images, labels = data
    training = Training(name, config, RunFolder(folder), resume=folder.exists(), array=images, labels=labels)
    done: list[int] = []
    for event in training.events(lambda: stop_at in done):
        if isinstance(event, Stepped):
            done.append(event.step)


class _Descent(Optimizer):
    """Gradient descent."""

    REMEMBERS = ()

    def move(self, gradients: list[Tensor]) -> None:
        torch._foreach_sub_(self.parameters, torch._foreach_mul(gradients, self.rate))


def descended(name: str, group: Group, seed: int = 0) -> tuple[Model, list[Mapping[str, float]]]:
    """The model after a few steps down its gradients, and the losses of each."""
    state, config, images, labels = fresh(name, SHAPES[0], group, seed)
    recipe = Recipe("descent", 0.05, (0.0, 0.0), weight_decay=0.0, clip_norm=1.0)
    state.optimizers = {of: _Descent(net.parameters(), recipe, CPU) for of, net in state.model.networks().items()}
    events = run_steps(state, images, labels if state.model.classes else None, config)
    return state.model, [event.losses for event in events if isinstance(event, Logged)]
