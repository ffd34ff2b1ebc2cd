"""What is known of a model before it is built: name, paper, settings. No torch here, so that --help is quick."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from counterfeit.errors import InputError
from counterfeit.registry import Registry
from counterfeit.settings import RunSettings, having, option, setting, spelled_today

if TYPE_CHECKING:
    from counterfeit.models.base import Family
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class ModelSettings(RunSettings):
    """Settings that every model has; what a model has of its own, its --help shows."""

    lr: float = setting(1e-3)
    """Adam's learning rate."""
    lr_decay: float = setting(1.0)
    """Factor that multiplies the learning rates after every epoch: 1 keeps them constant, 0.8 reduces them to about a
    tenth in ten epochs."""
    betas: tuple[float, float] = setting((0.9, 0.999))
    """Adam's decay rates for the first and second moments."""
    init: str = setting("own")
    """Weight initialization: `own` (each network's own rule), `xavier`, `he`, or `normal` (standard deviation 0.02)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self.lr, "--lr")
        if not 0 < self.lr_decay <= 1:
            raise InputError(f"--lr-decay is {self.lr_decay}; it must be above 0 and at most 1 (off), such as 0.8")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"--betas are {self.betas[0]} {self.betas[1]}; each must be at least 0 and less than 1")

    @property
    def binarization(self) -> str:
        """How pixels are drawn black or white before the model sees them: none, static or dynamic."""
        return "none"

    def rate(self, player: str) -> float:
        """The learning rate that a player starts with."""
        return self.lr


S = TypeVar("S", bound=ModelSettings)


@dataclass(frozen=True)
class ModelSpec(Generic[S]):
    """A named model.

    Attributes:
        name: as the command line calls it.
        title: one line for a person.
        settings: its defaults. Their type says which settings it has: its part of --help, of run.json and of its page.
        build: settings, the images' (C, H, W) and the number of classes -> the model with fresh weights on the CPU,
            which are drawn from the global generator. It imports torch when it is called.
        paper: where it comes from.
        differs: what differs from that paper.
        conditional: whether it learns p(image | label).
        based_on: the model whose settings it changes, such as `vae` of `vae-tuned`.
        published: whether README and docs must show its measured figures.
    """

    name: str
    title: str
    settings: S
    build: Callable[[S, Shape, int], Family]
    paper: str
    differs: str
    conditional: bool = False
    based_on: str | None = None
    published: bool = False

    def changed(self, settings: S, changes: Mapping[str, Any]) -> S:
        """Settings of this model with some changed. Raises InputError: it has no such setting, or a value is wrong."""
        changes = spelled_today(changes)
        own = having(self.settings)
        for name in changes:
            takers = [spec.name for spec in MODELS.values() if name in having(spec.settings)]
            if name not in own and takers:
                raise InputError(
                    f"{self.name} has no {option(str(name))}: leave it out, or train one of {', '.join(takers)}"
                )
        return settings.replace(changes)

    def read(self, values: Mapping[str, Any]) -> S:
        """Settings of this model from plain types. Raises msgspec.ValidationError, which may wrap an InputError."""
        return msgspec.convert(dict(values), type(self.settings))


MODELS: Registry[ModelSpec[Any]] = Registry("model")


def register(spec: ModelSpec[Any]) -> ModelSpec[Any]:
    """Add a model to those that can be trained."""
    MODELS.add(spec.name, spec)
    return spec


def tuned(spec: ModelSpec[S], **settings: Any) -> ModelSpec[S]:
    """Add the same model with settings that a search found to score better: benchmarks/search.py."""
    return register(
        dataclasses.replace(
            spec,
            name=f"{spec.name}-tuned",
            title=f"{spec.name} with settings that a search found to score better",
            settings=spec.settings.replace(settings),
            based_on=spec.name,
        )
    )


def check_rate(rate: float | None, name: str) -> None:
    """InputError where a learning rate is none."""
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InputError(f"{name} is {rate}; it must be a positive number, such as 0.001")


def check_not_negative(value: float, field: str, example: str) -> None:
    """InputError where a number is negative or not finite."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{option(field)} is {value}; it must be 0 {example}")
