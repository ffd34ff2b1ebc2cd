"""The one training loop: it serves every model, and tells what happens as an iterator of events."""

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
from counterfeit.models.base import Batch, Stage
from counterfeit.models.plan import Plan, planned
from counterfeit.runs.log import COLUMNS, TEST
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
    """All batches of an epoch are done, or the run is; `epoch` counts from 1. Of short epochs some end without it."""

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


def run_steps(
    state: State,
    images: Tensor | np.ndarray,
    labels: Tensor | None,
    config: ModelSettings,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train from state.step to the end of the run, by config.epochs or config.steps.

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
    plan = planned(state.model, config, len(images))
    meter = _Meter(state.step, plan, config.batch_size, group)
    # What a model tracks beside its weights are means over its rows, or linear in them.
    moments = [buffer for buffer in state.model.buffers() if buffer.is_floating_point()]
    mine = group.part()
    order = chosen_rows(len(images), config.batch_size, config.seed, plan.batches(state.step), device)
    batches = feed(images, labels, (chosen[mine] for chosen in order), device)
    part, step = plan.at(state.step), _stepping(state, config, plan.at(state.step).stage)
    while state.step < plan.total:
        if state.step % group.stride == 0 and group.any(stop()):
            yield from meter.read()
            yield Stopped(state.step)
            return
        if plan.at(state.step) is not part:
            part, step = plan.at(state.step), _stepping(state, config, plan.at(state.step).stage)
        state.set_rates(config, plan)
        losses = step([next(batches) for _ in range(part.stage.batches)])
        group.average(moments)
        state.move_average(config.ema)
        state.step += 1
        meter.add(losses)
        yield Stepped(state.step, plan.total)
        ended = plan.ends_epoch(state.step)
        if state.step % config.log_every == 0 or ended:
            yield from meter.read()
        if ended:
            yield EpochEnded(plan.epoch(state.step - 1) + 1, state.step)
            meter.restart_clock()


def _stepping(state: State, config: ModelSettings, stage: Stage) -> cuda_graph.Step:
    """From uint8 images (B, C, H, W) and labels to losses, the weights having moved."""

    def step(batches: cuda_graph.Batches) -> dict[str, Tensor]:
        with computing_in(config.precision, state.progress.device):
            fed = [Batch(seen(pixels), y) for pixels, y in batches]
            return stage.step(fed, state.update, state.rng, state.progress)

    def seen(pixels: Tensor) -> Tensor:
        return draw(pixels, state.rng) if config.binarization == "dynamic" else to_float(pixels)

    recorded = config.cuda_graph and cuda_graph.can_record(state.rng.generator.device) and state.group.world == 1
    return cuda_graph.Captured(step, cuda_graph.CudaGraph(state.rng.generator)) if recorded else step


class _Meter:
    """Keeps the losses on the device until a row is due, then reads them at once."""

    def __init__(self, step: int, plan: Plan, batch_size: int, group: Group) -> None:
        self.step, self.plan, self.batch_size, self.group = step, plan, batch_size, group
        self.kept: list[dict[str, Tensor]] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        self.since = time.perf_counter()

    def add(self, losses: dict[str, Tensor]) -> None:
        taken = next((name for name in losses if name in COLUMNS or name.startswith(TEST)), None)
        if taken is not None:
            raise InputError(f"the model calls a loss {taken!r}, which is another column of log.jsonl: rename the loss")
        self.kept.append({name: loss.detach() for name, loss in losses.items()})

    def read(self) -> Iterator[Logged]:
        if not self.kept:
            return
        places = [(i, name) for i, row in enumerate(self.kept) for name in row]
        if not places:  # no step of the interval had a loss
            self.step, self.kept = self.step + len(self.kept), []
            self.restart_clock()
            return
        flat = torch.stack([row[name] for row in self.kept for name in row])
        self.group.average([flat])
        values = flat.cpu().double().tolist()  # the one place where the loop waits for the device
        first, steps = self.step, len(self.kept)
        self.step += steps
        seconds = time.perf_counter() - self.since
        losses: dict[str, list[float]] = {}
        for (i, name), value in zip(places, values, strict=True):
            self._check_finite(name, value, first + i)
            losses.setdefault(name, []).append(value)
        self.kept = []
        self.restart_clock()
        yield Logged(
            epoch=self.plan.epoch(self.step - 1) + 1,
            step=self.step,
            losses={name: float(np.mean(of_steps)) for name, of_steps in losses.items()},  # of the steps that had it
            images_per_s=steps * self.plan.at(self.step - 1).stage.batches * self.batch_size / seconds,
        )

    def _check_finite(self, name: str, value: float, done: int) -> None:
        """`done` steps came before this one."""
        if not math.isfinite(value):
            raise NonFiniteError(f"{name} became {value} at epoch {self.plan.epoch(done) + 1}, step {done + 1}")
