"""What is known of a model before it is built: name, paper, settings. No torch here, so that --help is quick."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from counterfeit.errors import InputError
from counterfeit.registry import Registry
from counterfeit.settings import RunSettings, Settings, check_count, having, option, setting, spelled_here
from counterfeit.system.arguments import fields_of, words

if TYPE_CHECKING:
    from counterfeit.models.base import Model
    from counterfeit.nets import Shape


@dataclass(frozen=True)
class Optimizer:
    """How the weights of one network follow its gradients; the fields are those of `ModelSettings`."""

    kind: str
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    clip_norm: float


@dataclass(frozen=True)
class ModelSettings(RunSettings):
    """Settings that every model has; what a model has of its own, its --help shows."""

    lr: float = setting(1e-3)
    """Learning rate of all networks."""
    lr_decay: float = setting(1.0)
    """Factor that multiplies the learning rates after every epoch: 1 keeps them constant, 0.8 reduces them to about a
    tenth in ten epochs."""
    schedule: Literal["constant", "linear", "cosine"] = setting("constant")
    """How the learning rates fall from the first step to the last: `linear` and `cosine` end at 0."""
    warm_up: int = setting(0)
    """Number of first steps over which the learning rates rise from 0 to their values; 0 turns this off."""
    optimizer: Literal["adam", "rmsprop"] = setting("adam")
    """Optimizer of all networks. For `rmsprop`, which has no momentum here, pass --betas 0 0.99 as well."""
    betas: tuple[float, float] = setting((0.9, 0.999))
    """Decay rates of the moving averages of the gradients and of their squares."""
    weight_decay: float = setting(0.0)
    """Share of each weight, times the learning rate, that is subtracted at every step (as in AdamW); 0 turns it off."""
    clip_norm: float = setting(0.0)
    """Largest norm of a network's gradient at each step, to which a longer one is shortened; 0 turns this off."""
    init: str = setting("own")
    """Weight initialization: `own` (each network's own rule), `xavier`, `he`, or `normal` (standard deviation 0.02)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate(self.lr, "--lr")
        if not 0 < self.lr_decay <= 1:
            raise InputError(f"--lr-decay is {self.lr_decay}; it must be above 0 and at most 1 (off), such as 0.8")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"--betas are {self.betas[0]} {self.betas[1]}; each must be at least 0 and less than 1")
        if self.optimizer == "rmsprop" and self.betas[0]:
            raise InputError(
                f"--optimizer rmsprop has no momentum, and --betas are {self.betas[0]} {self.betas[1]}: "
                "pass --betas 0 0.99"
            )
        check_count(self.warm_up, "--warm-up", least=0)
        check_not_negative(self.weight_decay, "weight_decay", "(off) or more, such as 0.01")
        check_not_negative(self.clip_norm, "clip_norm", "(off) or more, such as 1")

    @property
    def binarization(self) -> str:
        """How pixels are drawn black or white before the model sees them: none, static or dynamic."""
        return "none"

    @property
    def unit(self) -> str:
        """The unit of the losses, such as "nats per image"; "" where they have none that means something."""
        return ""

    def optimizer_of(self, network: str) -> Optimizer:
        """The optimizer of a network of the model, by its name."""
        return Optimizer(self.optimizer, self.lr, self.betas, self.weight_decay, self.clip_norm)

    def rate_factor(self, epoch: int, step: int, progress: float) -> float:
        """What learning rates are multiplied by at a step.

        Args:
            epoch: epochs of the run that are over.
            step: steps of the stage that are done.
            progress: the share of the stage's steps that are done, from 0 to 1.
        """
        rise = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        fall = {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 + 0.5 * math.cos(math.pi * progress)}
        return self.lr_decay**epoch * rise * fall[self.schedule]


class Fitted(NamedTuple):
    """A sampler that is fitted after training and draws the latents: see `counterfeit.samplers`.

    Attributes:
        kind: `mixture` or `two-stage`.
        components: Gaussians of a mixture.
    """

    kind: str
    components: int = 0


@dataclass(frozen=True)
class Sampling(Settings):
    """Options of sampling; of a model with some, a class of its own. This one has none."""

    def check_given(self, names: Collection[str]) -> None:
        """InputError if an option that was given decides nothing beside the others."""

    @property
    def fitted(self) -> Fitted | None:
        """What draws the latents, fitted to codes; None where they are the model's own."""
        return None


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
        sampling: its options of sampling, with their defaults: a part of `sample --help` and of every receipt.
        small: settings with which it trains in seconds on 28x28, for tests.
        small_sampling: options with which it draws samples in no time, for tests.
        based_on: the model whose settings it changes, such as `vae` of `vae-tuned`.
        published: whether README and docs must show its measured figures.
    """

    name: str
    title: str
    settings: S
    build: Callable[[S, Shape, int], Model]
    paper: str
    differs: str
    conditional: bool = False
    sampling: Sampling = Sampling()
    small: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    small_sampling: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    based_on: str | None = None
    published: bool = False

    def changed(self, settings: S, changes: Mapping[str, Any]) -> S:
        """Settings of this model with some changed. Raises InputError: it has no such setting, or a value is wrong."""
        own = having(self.settings)
        changes = spelled_here(changes, own)
        for name in changes:
            takers = [spec.name for spec in MODELS.values() if name in having(spec.settings)]
            if name not in own and takers:
                raise InputError(
                    f"{self.name} has no {option(str(name))}: leave it out, or train one of {', '.join(takers)}"
                )
        return settings.replace(changes)

    def sampling_with(self, options: Mapping[str, Any], others: Sampling | None = None) -> Sampling:
        """Options of sampling; those that are not given are as in `others`, by default its own.

        Raises InputError: it has no such option, or a value is wrong.
        """
        unknown = next((name for name in options if name not in having(self.sampling)), None)
        if unknown is not None and not having(self.sampling):
            raise InputError(f"{self.name} has no options of sampling: leave out {option(str(unknown))}")
        found = (others or self.sampling).replace(options)
        found.check_given(options)
        return found

    def read(self, values: Mapping[str, Any]) -> S:
        """Settings of this model from plain types. Raises msgspec.ValidationError, which may wrap an InputError."""
        return msgspec.convert(dict(values), type(self.settings))


MODELS: Registry[ModelSpec[Any]] = Registry("model")
# Options of `train`, and of the commands that draw samples: no settings of a model may be called so.
OF_TRAIN = {"model", "out", "resume", "plugin", "threads", "track"}
OF_SAMPLE = {
    *("run", "source", "n", "label", "seed", "out", "device", "plugin", "json", "real", "repeats", "size"),
    *("skip_bad", "detector", "metrics", "compile", "inception", "weights", "any_weights", "protocol", "scoring"),
    *("threads", "to"),
}


def register(spec: ModelSpec[Any]) -> ModelSpec[Any]:
    """Add a model to those that can be trained. Raises InputError: its name is taken, or its settings are no fields."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", spec.name):
        raise InputError(f"{spec.name!r} is no name for a model: take letters, digits and - _ . in it")
    for kind, taken in ((type(spec.settings), OF_TRAIN), (type(spec.sampling), OF_SAMPLE)):
        if clash := having(kind) & taken:
            raise InputError(
                f"{kind.__name__} has a field {sorted(clash)[0]!r}, which is an option of the commands: rename it"
            )
        forgotten = kind.__dict__.get("__annotations__", {}).keys() - having(kind)
        if forgotten:
            raise InputError(
                f"{kind.__name__} has no field {sorted(forgotten)[0]!r}: write @dataclass(frozen=True) above the class"
            )
    own, of_runs = fields_of(type(spec.settings)), fields_of(RunSettings)
    for name in own.keys() & of_runs.keys():
        if words(own[name]) != words(of_runs[name]):
            raise InputError(
                f"{type(spec.settings).__name__} has a field {name!r}, which every run has as {words(of_runs[name])}: "
                "rename it"
            )
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
