"""What is exported: a network from latents, and labels where the model takes some, to uint8 images, as one graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from counterfeit.data.pixels import to_uint8
from counterfeit.errors import InputError
from counterfeit.exporting.plain import plain
from counterfeit.models.base import HasLatents, Model
from counterfeit.models.build import able
from counterfeit.models.spec import Sampling

TRACED = 3  # rows that the graph is recorded with: any number but 0 and 1, which exporters take for constants
MOST_STEPS = 100  # of a solver: each is recorded by itself, which takes seconds and kilobytes


class Generator(nn.Module):
    """Latents (B, *latent_shape), labels int64 (B,) if the model has classes -> images, uint8 (B, C, H, W)."""

    def __init__(self, model: Model, options: Sampling) -> None:
        super().__init__()
        self.model, self.options = plain(model), options

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert isinstance(self.model, HasLatents)
        return to_uint8(self.model.decode(z, y, self.options))


def drop_unused(generator: Generator, given: Sequence[Tensor]) -> None:
    """Empty the weights of layers that no image passes through, such as an encoder's: a file would hold them too."""
    passed: set[nn.Module] = {generator.model}
    hooks = [layer.register_forward_pre_hook(lambda layer, _: passed.add(layer)) for layer in generator.model.modules()]
    with torch.no_grad():
        images = generator(*given)
    for hook in hooks:
        hook.remove()
    used = {id(weights) for layer in passed for weights in layer.parameters(recurse=False)}  # two layers may share some
    emptied = [(weights, weights.data) for weights in generator.model.parameters() if id(weights) not in used]
    for weights, data in emptied:
        weights.data = data.new_empty(0)
    if not _makes(generator, given, images):  # weights of a layer that is read and not called, as an nn.ParameterList
        for weights, data in emptied:
            weights.data = data


def _makes(generator: Generator, given: Sequence[Tensor], images: Tensor) -> bool:
    try:
        with torch.no_grad():
            return torch.equal(generator(*given), images)
    except Exception:  # whatever code of others raises for weights that are empty
        return False


def inputs(model: Model) -> list[str]:
    """The names of the generator's inputs, in their order."""
    return ["latents", "labels"] if model.classes else ["latents"]


def check_exportable(name: str, model: Model, options: Sampling) -> None:
    """InputError where a model's images are not one graph of its latents."""
    if not isinstance(model, HasLatents):
        raise InputError(
            f"{name} cannot be exported, since its samples are drawn number by number and are no function of latents: "
            f"{able(HasLatents)} can be exported"
        )
    steps = getattr(options, "steps", 1)
    if steps > MOST_STEPS:
        raise InputError(
            f"{name} cannot be exported with --steps {steps}: every step is a part of the graph of its own, "
            f"and at most {MOST_STEPS} are possible"
        )


def recorded(model: Model, options: Sampling) -> torch.export.ExportedProgram:
    """The generator's graph, for any number of images at a time. InputError where its code cannot be recorded."""
    assert isinstance(model, HasLatents)
    rows = torch.export.Dim("batch")
    given: list[Any] = [torch.zeros(TRACED, *model.latent_shape)]
    if model.classes:
        given.append(torch.arange(TRACED) % model.classes)
    generator = Generator(model, options).eval()
    drop_unused(generator, given)
    with quiet():
        try:
            # Strict: len(x) of a tensor stays the number of rows, and does not become the number recorded with.
            shapes = tuple([{0: rows}] * len(given))
            return torch.export.export(generator, tuple(given), dynamic_shapes=shapes, strict=True)
        except Exception as error:  # of PyTorch's compiler, which has many kinds
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"this model's decode cannot be recorded as a graph ({type(error).__name__}: {reason}): it must be "
                "tensor operations only, for any number of rows"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch's exporters say to each other: warnings of their own code, packages that we do not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
