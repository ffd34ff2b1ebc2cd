"""The options of commands that draw images from a run: the command's, and those of sampling that its model has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tyro.conf import OmitArgPrefixes

from counterfeit import catalog
from counterfeit.cli.parsing import HELP, parse, positional, typed
from counterfeit.models import MODELS, ModelSpec
from counterfeit.settings import having
from counterfeit.system import paths, reading

T = TypeVar("T")


class Named(msgspec.Struct):
    """What is read of run.json here."""

    model: str


def parsed(kind: type[T], argv: Sequence[str]) -> tuple[T, dict[str, Any]]:
    """The options as typed, and those of sampling, which are none unless a run of a model with some is named."""
    kinds = [kind, *(type(spec.sampling) for spec in MODELS.values())]
    run = positional(argv, kinds, lambda word: model_of(word) is not None)
    spec = None if run is None else model_of(run)
    if spec is None or not having(spec.sampling):
        return parse(kind, argv), {}
    if HELP & set(argv):
        argv = ["--help"]  # whatever else was typed; tyro's help leaves out a positional that has been given
    own = type(spec.sampling)
    # mypy takes this for an annotation.
    field = ("sampling", OmitArgPrefixes[own], dataclasses.field(default=spec.sampling))  # type: ignore[misc,valid-type]
    made = dataclasses.make_dataclass(kind.__name__, [field], bases=(kind,), frozen=True)
    made.__doc__ = kind.__doc__
    asked: Any = parse(made, argv)
    return asked, typed(vars(asked.sampling), argv)


def model_of(word: str) -> ModelSpec[Any] | None:
    """The model of a run folder; None for anything else, which the command itself has words for."""
    try:
        if word.startswith(catalog.ZOO):
            return MODELS[catalog.zoo()[word.removeprefix(catalog.ZOO)].model]
        text = reading.content(Path(paths.typed(word)) / "run.json")  # which waits for no pipe
        return MODELS[reading.record(text, Named).model]
    except (OSError, ValueError, KeyError):  # what is wrong with a run, the command itself says
        return None
