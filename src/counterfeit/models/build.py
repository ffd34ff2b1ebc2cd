"""From a named model and settings to a network with fresh weights."""

from __future__ import annotations

from typing import Any

import torch

from counterfeit.errors import InputError
from counterfeit.models.base import Model
from counterfeit.models.plugins import OURS
from counterfeit.models.spec import MODELS, ModelSettings, ModelSpec
from counterfeit.nets import Shape
from counterfeit.nets.initial import Seeded, initialize
from counterfeit.system.words import listed


def build(spec: ModelSpec[Any], settings: ModelSettings, shape: Shape, classes: int) -> Model:
    """A model on the CPU, initialized from settings.seed alone: the global random state is neither used nor changed.

    Args:
        settings: of the model's own type.
        shape: (C, H, W) of the images.
        classes: number of labels of the data, 0 when it has none.

    Raises:
        InputError: the net cannot take the shape, or labels are missing.
    """
    if spec.conditional and not classes:
        raise InputError(
            f"{spec.name} learns from labels and {settings.data} has none: "
            "put each class of images into a subfolder of its own, give labels=, or take an unconditional model"
        )
    with Seeded(settings.seed):
        model = spec.build(settings, shape, classes if spec.conditional else 0)
        initialize(model, settings.init)
        return model


def build_named(name: str, shape: Shape, classes: int = 0) -> Model:
    """A named model with its own settings: `build_named("dcgan", (1, 28, 28))`."""
    spec = MODELS[name]
    return build(spec, spec.settings, shape, classes)


def able(capability: type) -> str:
    """The models of ours that have a capability, a protocol of `base`, as words for a message."""
    ours = [name for name, spec in MODELS.items() if name in OURS and spec.based_on is None]
    with torch.device("meta"):
        built = {name: build_named(name, (1, 32, 32), 10) for name in ours}
    return listed((name for name, model in built.items() if isinstance(model, capability)), "or")


def conditional() -> str:
    """The models that learn from labels, as words for a message."""
    return listed((name for name, spec in MODELS.items() if spec.conditional and spec.based_on is None), "or")
