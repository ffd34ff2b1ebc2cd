"""The one training loop: it serves every family, and tells what happens as an iterator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from counterfeit.allocator import keep_freed_memory
from counterfeit.binarise import draw
from counterfeit.config import Config
from counterfeit.data.feed import chosen_rows, feed
from counterfeit.errors import InputError, NonFiniteError
from counterfeit.images import to_float
from counterfeit.models import Family
from counterfeit.nets import share_batch_norm
from counterfeit.noise import Noise
from counterfeit.processes import ALONE, Group

Tensors = dict[str, Tensor]
MOMENTS = ("exp_avg", "exp_avg_sq")  # Adam's names for them


@dataclass(frozen=True)
class Stepped:
    """A step is done; `step` of `total` counts from the start of the run."""

    step: int
    total: int


@dataclass(frozen=True)
class Logged:
    """The means over the steps since the last such event; `epoch` counts from 1."""

    epoch: int
    step: int
    losses: dict[str, float]
    images_per_s: float


@dataclass(frozen=True)
class EpochEnded:
    """All batches of an epoch are done; `epoch` counts from 1."""

    epoch: int
    step: int


@dataclass(frozen=True)
class Stopped:
    """The loop was asked to stop, and did so at a step boundary before the end."""

    step: int


Event = Stepped | Logged | EpochEnded | Stopped


@dataclass
class State:
    """All that changes while training: saved and loaded, it continues exactly.

    Attributes:
        model: the family, on its device, in training mode.
        optimisers: one Adam a player.
        average: exponential moving average of the weights, or None.
        rng: the source of the training noise, on the model's device.
        group: the processes that train it together; each has the whole state, and all have the same.
        step: steps done. With the seed it gives the position in the data: no other state is needed for that.
    """

    model: Family
    optimisers: dict[str, torch.optim.Adam]
    average: AveragedModel | None
    rng: Noise
    group: Group = ALONE
    step: int = 0
    names: dict[Tensor, str] = field(default_factory=dict)

    @classmethod
    def fresh(cls, model: Family, config: Config, device: torch.device, group: Group = ALONE) -> State:
        """Optimisers, average and noise for a model that has not been trained."""
        # Channels-last is what convolutions are fastest on; it touches parameters with four axes only.
        model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimisers = {
            player: torch.optim.Adam(module.parameters(), lr=_rate(config, player), betas=config.betas, fused=True)
            for player, module in model.players().items()
        }
        # Buffers too: batch norm's moments of the present weights are far from those of the averaged ones.
        average = AveragedModel(model, multi_avg_fn=averaging(config.ema), use_buffers=True) if config.ema else None
        share_batch_norm(model, group)  # not the average's, which is never trained
        rng = Noise(torch.Generator(device).manual_seed(config.seed), group.rank, group.world)
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        return cls(model, optimisers, average, rng, group, names=names)

    def tensors(self) -> dict[str, Tensors]:
        """Everything as named tensors, in groups: `model` and `ema` are what sampling needs, `training` the rest."""
        training = {"rng": self.rng.generator.get_state()}
        for optimiser in self.optimisers.values():
            for parameter, values in optimiser.state.items():
                training |= {f"{self.names[parameter]}.{key}": value for key, value in values.items()}
        groups = {"model": self.model.state_dict(), "training": training}
        if self.average is not None:
            groups["ema"] = self.average.module.state_dict()
            training["ema.updates"] = self.average.n_averaged
        return groups

    def load(self, groups: dict[str, Tensors], step: int) -> None:
        """Take over what `tensors` gave, after `step` steps."""
        self.model.load_state_dict(groups["model"])
        training = groups["training"]
        rng = self.rng.generator
        if len(training["rng"]) != len(rng.get_state()):
            raise InputError(f"the run drew its noise on another kind of device than {rng.device}: pass its --device")
        rng.set_state(training["rng"].cpu())
        for optimiser in self.optimisers.values():
            for parameter in optimiser.param_groups[0]["params"]:
                prefix = self.names[parameter] + "."
                # The moments take the parameter's memory layout: the fused kernel walks them side by side.
                moments = {key: torch.empty_like(parameter.data).copy_(training[prefix + key]) for key in MOMENTS}
                optimiser.state[parameter] = {"step": training[prefix + "step"].to(parameter.device), **moments}
        if self.average is not None:
            self.average.module.load_state_dict(groups["ema"])
            self.average.n_averaged.copy_(training["ema.updates"])
        self.step = step

    def update(self, player: str, loss: Tensor) -> None:
        """One Adam step on one player; gradients are computed for its parameters only, and averaged over processes."""
        optimiser = self.optimisers[player]
        optimiser.zero_grad(set_to_none=True)
        parameters = optimiser.param_groups[0]["params"]
        loss.backward(inputs=parameters)
        self.group.average([parameter.grad for parameter in parameters if parameter.grad is not None])
        optimiser.step()


def averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average, whose decay grows to `decay` as (1 + t) / (10 + t) after t updates.

    With a constant one the average would still be a tenth of untrained weights after 2,300 steps at 0.999. The ramp is
    that of TensorFlow's ExponentialMovingAverage with num_updates.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        t = int(updates)
        share = 1 - min(decay, (1 + t) / (10 + t))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, share)
            else:
                average.copy_(weight)  # batch norm's count of batches

    return update


def _rate(config: Config, player: str) -> float:
    return config.lr_discriminator or config.lr if player == "discriminator" else config.lr


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch; InputError when there is none."""
    if images < batch_size:
        raise InputError(
            f"--batch-size {batch_size} is larger than the data set of {images} images; "
            f"pass --batch-size {images} or less"
        )
    return images // batch_size


def run_steps(
    state: State,
    images: Tensor | np.ndarray,
    labels: Tensor | None,
    config: Config,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train from state.step to the end of config.epochs.

    Args:
        images: uint8 (N, C, H, W), the whole set: on the model's device, or a memory map that is read as the steps
            go; already drawn where config.binarise is "static".
        labels: int64 (N,) on the model's device, or None.
        stop: asked at every step boundary, by several processes at every few; True in one ends the loop of all with
            `Stopped`.

    Raises:
        NonFiniteError: a loss was not finite; it names the term, the epoch and the step. The device is read only when
            a row is logged, so the error comes with that row.
        DataError: a memory map's file cannot be read.
    """
    device = state.rng.generator.device
    if device.type == "cpu":
        keep_freed_memory()
    group = state.group
    per_epoch = steps_per_epoch(len(images), config.batch_size)
    total = config.epochs * per_epoch
    meter = _Meter(state.step, per_epoch, config.batch_size, group)
    # What a family tracks beside its weights are means over its rows, or linear in them.
    moments = [buffer for buffer in state.model.buffers() if buffer.is_floating_point()]
    steps, mine = range(state.step, total), group.part(config.batch_size)
    rows = (chosen[mine] for chosen in chosen_rows(len(images), config.batch_size, config.seed, steps, device))
    batches = feed(images, labels, rows, device)
    while state.step < total:
        if state.step % group.stride == 0 and group.any(stop()):
            yield from meter.read()
            yield Stopped(state.step)
            return
        pixels, y = next(batches)
        x = draw(pixels, state.rng) if config.binarise == "dynamic" else to_float(pixels)
        losses = state.model.step(x, y, state.update, state.rng)
        group.average(moments)
        if state.average is not None:
            state.average.update_parameters(state.model)
        state.step += 1
        meter.add(losses)
        yield Stepped(state.step, total)
        if state.step % config.log_every == 0 or state.step % per_epoch == 0:
            yield from meter.read()
        if state.step % per_epoch == 0:
            yield EpochEnded(state.step // per_epoch, state.step)
            meter.restart_clock()


class _Meter:
    """Keeps the losses on the device until a row is due, then reads them at once."""

    def __init__(self, step: int, per_epoch: int, batch_size: int, group: Group) -> None:
        self.step, self.per_epoch, self.batch_size, self.group = step, per_epoch, batch_size, group
        self.kept: list[dict[str, Tensor]] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        self.since = time.perf_counter()

    def add(self, losses: dict[str, Tensor]) -> None:
        self.kept.append({name: loss.detach() for name, loss in losses.items()})

    def read(self) -> Iterator[Logged]:
        if not self.kept:
            return
        names = list(self.kept[0])
        table = torch.stack([torch.stack([row[name] for name in names]) for row in self.kept])
        self.group.average([table])
        values = table.double().cpu().numpy()  # (steps, terms): the one place where the loop waits for the device
        first = self.step
        self.step += len(self.kept)
        seconds = time.perf_counter() - self.since
        self._check_finite(values, names, first)
        rate = len(self.kept) * self.batch_size / seconds
        self.kept = []
        self.restart_clock()
        yield Logged(
            epoch=(self.step - 1) // self.per_epoch + 1,
            step=self.step,
            losses=dict(zip(names, values.mean(axis=0).tolist(), strict=True)),
            images_per_s=rate,
        )

    def _check_finite(self, values: np.ndarray, names: list[str], first: int) -> None:
        for i, row in enumerate(values):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    step = first + i + 1
                    epoch = (step - 1) // self.per_epoch + 1
                    raise NonFiniteError(f"{name} became {value} at epoch {epoch}, step {step}")
