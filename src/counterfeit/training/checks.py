"""The start of a training: whether settings, images and machine go together, and the model that is trained then."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from counterfeit.data import ImageSet
from counterfeit.data.pixels import to_float
from counterfeit.errors import InputError
from counterfeit.models import ModelSettings, ModelSpec
from counterfeit.models.base import Encodes, HasTerms, Model
from counterfeit.models.build import build
from counterfeit.models.plan import planned, steps_per_epoch
from counterfeit.models.plugins import blamed, plugin_of
from counterfeit.nets import Shape, linear
from counterfeit.settings import having, option
from counterfeit.system.console import say
from counterfeit.system.device import pick_device
from counterfeit.system.distributed import ALONE, Group
from counterfeit.system.memory import check_room, in_saving, in_training
from counterfeit.system.noise import Noise
from counterfeit.training.loop import check_device

# What a model's networks grow with; its own settings have those that it has.
SIZES = ("latent", "width", "encoder_width", "decoder_width")


def built(
    spec: ModelSpec[Any], config: ModelSettings, data: ImageSet, group: Group = ALONE
) -> tuple[Model, torch.device]:
    """A fresh model for these images, on the CPU still, and the device to train it on.

    Raises InputError: settings, images and this machine's devices and memory do not go together.
    """
    steps_per_epoch(len(data), config.batch_size)
    device = pick_device(config.device)
    check_device(config, device)
    check_fits(spec, config, data.shape, len(data.classes), device)
    model = build(spec, config, data.shape, len(data.classes))
    check_batch(model, spec.name, config)
    planned(model, config, len(data))
    if device.type == "cpu" and config.precision == "float32" and not linear.HAS_ONEDNN:
        _say_that_it_is_slow()
    return model, device


@functools.cache  # once in a process, however many runs it trains
def _say_that_it_is_slow() -> None:
    say("this PyTorch has no oneDNN for linear layers: they train more slowly here, with equal results up to rounding")


def check_fits(spec: ModelSpec[Any], config: ModelSettings, shape: Shape, classes: int, device: torch.device) -> None:
    """InputError where a model's weights, what Adam keeps of them, and a checkpoint are more than the memory."""
    sizes = [option(name) for name in SIZES if name in having(config)]
    what, fix = f"training {spec.name} with these settings", f"lower {', '.join(sizes)} or --size"
    try:
        with torch.device("meta"):  # sizes without numbers
            model = build(spec, config, shape, classes)
    except InputError:
        raise
    except Exception as error:
        if plugin_of(spec.name) is not None:  # whose author needs to know what is wrong, and where
            raise InputError(f"{spec.name} cannot be built: {blamed(error)}") from error
        if not isinstance(error, RuntimeError | TypeError | OverflowError):
            raise
        # Of ours, it is a size that no tensor can have.
        raise InputError(f"{what} needs layers that are larger than PyTorch can count: {fix}") from None
    on_card = device.type == "cuda"  # where no checkpoint is written
    needed = in_training(model, bool(config.ema)) + (0 if on_card else in_saving(model))
    check_room(needed, what, fix, device)


def check_terms(model: Model, name: str, data: ImageSet, test: ImageSet | None) -> None:
    """InputError where test images lack the labels that their loss needs, or the terms of a model's loss are none.

    Each must be one number per image. Those of ours are.
    """
    if test is not None and test.labels is None and model.classes and isinstance(model, HasTerms | Encodes):
        raise InputError(
            f"the test images of {data.name} have no labels, which the test loss of {name} needs: give them labels, or "
            "leave them out"
        )
    if not isinstance(model, HasTerms) or plugin_of(name) is None:
        return
    x, n = to_float(torch.from_numpy(np.array(data.images[:2]))), min(2, len(data))
    y = torch.from_numpy(data.labels[:2]) if model.classes and data.labels is not None else None
    try:
        with torch.no_grad():
            terms = model.eval().terms(x, y, Noise.seeded(0))
        shapes = {term: tuple(value.shape) for term, value in terms.items()}
    except Exception as error:
        raise InputError(f"the terms of {name}'s loss cannot be had: {blamed(error)}") from error
    finally:
        model.train()
    if not shapes or set(shapes.values()) != {(n,)}:
        found = ", ".join(f"{term} {shape}" for term, shape in shapes.items()) or "none"
        raise InputError(f"terms() of {name} gives of {n} images {found}; each must be one number per image, {(n,)}")


def check_batch(model: Model, name: str, config: ModelSettings) -> None:
    """InputError where a batch is too small for the model."""
    if config.batch_size == 1 and any(isinstance(part, _BatchNorm) for part in model.modules()):
        raise InputError(
            f"--batch-size is 1, and {name} has batch normalization, which needs several images: pass 2 or more"
        )
