"""The one training loop: it serves every family, and tells what happens as an iterator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterfeit.data.binarize import draw
from counterfeit.data.feed import chosen_rows, feed
from counterfeit.data.pixels import to_float
from counterfeit.errors import InputError, NonFiniteError
from counterfeit.models import ModelSettings
from counterfeit.system.distributed import Group
from counterfeit.training import cuda_graph
from counterfeit.training.precision import computing_in
from counterfeit.training.state import State


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


def check_device(config: ModelSettings, device: torch.device) -> None:
    """InputError where the settings ask for what the device cannot do."""
    if config.precision == "tf32" and device.type != "cuda":
        raise InputError(f"--precision tf32 is for NVIDIA cards, and this is {device}: take float32 or bfloat16")


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
    config: ModelSettings,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train from state.step to the end of config.epochs.

    Args:
        images: uint8 (N, C, H, W), the whole set: on the model's device, or a memory map that is read as the steps
            go; already drawn where config.binarization is "static".
        labels: int64 (N,) on the model's device, or None.
        stop: asked at every step boundary, by several processes at every few; True in one ends the loop of all with
            `Stopped`.

    Raises:
        NonFiniteError: a loss was not finite; it names the term, the epoch and the step. The device is read only when
            a row is logged, so the error comes with that row.
        DataError: a memory map's file cannot be read.
    """
    device = state.rng.generator.device
    group = state.group
    per_epoch = steps_per_epoch(len(images), config.batch_size)
    total = config.epochs * per_epoch
    meter = _Meter(state.step, per_epoch, config.batch_size, group)
    # What a family tracks beside its weights are means over its rows, or linear in them.
    moments = [buffer for buffer in state.model.buffers() if buffer.is_floating_point()]
    steps, mine = range(state.step, total), group.part(config.batch_size)
    rows = (chosen[mine] for chosen in chosen_rows(len(images), config.batch_size, config.seed, steps, device))
    batches = feed(images, labels, rows, device)
    step = _stepping(state, config)
    state.set_rates(config, state.step // per_epoch)
    while state.step < total:
        if state.step % group.stride == 0 and group.any(stop()):
            yield from meter.read()
            yield Stopped(state.step)
            return
        losses = step(*next(batches))
        group.average(moments)
        state.move_average(config.ema)
        state.step += 1
        meter.add(losses)
        yield Stepped(state.step, total)
        if state.step % config.log_every == 0 or state.step % per_epoch == 0:
            yield from meter.read()
        if state.step % per_epoch == 0:
            state.set_rates(config, state.step // per_epoch)
            yield EpochEnded(state.step // per_epoch, state.step)
            meter.restart_clock()


def _stepping(state: State, config: ModelSettings) -> cuda_graph.Step:
    """From uint8 images (B, C, H, W) and labels to losses, the weights having moved."""

    def step(pixels: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        with computing_in(config.precision, pixels.device):
            x = draw(pixels, state.rng) if config.binarization == "dynamic" else to_float(pixels)
            return state.model.step(x, y, state.update, state.rng)

    recorded = config.cuda_graph and cuda_graph.can_record(state.rng.generator.device) and state.group.world == 1
    return cuda_graph.Captured(step, cuda_graph.CudaGraph(state.rng.generator)) if recorded else step


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
