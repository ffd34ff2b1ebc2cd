"""The checks of a model, each for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from counterfeit import sampling
from counterfeit.cli import options
from counterfeit.data.pixels import to_float
from counterfeit.errors import InputError
from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Batch, Encodes, HasLatents, HasTerms
from counterfeit.models.plan import planned
from counterfeit.runs import load_checkpoint
from counterfeit.settings import having, option
from counterfeit.system.noise import Noise
from counterfeit.testing.small import BATCH, SHAPES, STEPS, built, descended, fresh, images_for, settings_of, train
from counterfeit.testing.threads import together
from counterfeit.training.loop import run_steps
from counterfeit.training.state import State

GROUPS = ("model", "training", "ema")
TOLERANCE, STARTS = 3e-4, 8  # see check_processes
ONE_BATCH = "losses must be means over rows, buffers linear in such means, and random numbers come by the row from rng"


def check_networks(name: str) -> None:
    """It builds from its small settings, and its networks are disjoint and all there is."""
    for shape in SHAPES:
        try:
            model, again = (built(name, settings_of(name), shape) for _ in range(2))
        except InputError as error:
            _fail(name, f"it does not build for images {shape} ({error})", "choose other `small` settings in its spec")
        if any(not torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True)):
            _fail(name, "one seed gives different weights", "fill weights by functions of torch.nn.init only")
        called: dict[int, str] = {}
        for key, tensor in model.state_dict(keep_vars=True).items():
            if called.setdefault(id(tensor), key) != key:
                fix = "a part of the model has one name: networks() may put several in an nn.ModuleList"
                _fail(name, f"{called[id(tensor)]} and {key} are one tensor", fix)
        owners: dict[str, list[str]] = {parameter: [] for parameter, _ in model.named_parameters()}
        names = {id(weight): parameter for parameter, weight in model.named_parameters()}
        for network, module in model.networks().items():
            for weight in module.parameters():
                if id(weight) not in names:
                    _fail(name, f"the network {network!r} has weights that the model has not", "make it a part of it")
                owners[names[id(weight)]].append(network)
        for parameter, found in owners.items():
            if len(found) != 1:
                whose = f"of the networks {' and '.join(found)}" if found else "of no network"
                fix = "networks() must give each to one; what is not trained is a buffer (register_buffer)"
                _fail(name, f"the parameter {parameter} is {whose}", fix)


def check_steps(name: str) -> None:
    """Its losses are finite scalars, and a step moves the networks that it updates and nothing else."""
    for shape in SHAPES:
        state, config, images, labels = fresh(name, shape)
        plan = planned(state.model, config, len(images))
        updated: set[str] = set()
        ever: set[str] = set()
        update = _noting(name, state, updated)
        for part in plan.parts:
            for state.step in range(part.first_step, part.first_step + STEPS):
                before = {
                    of: [p.detach().clone() for p in net.parameters()] for of, net in state.model.networks().items()
                }
                updated.clear()
                state.set_rates(config, plan)
                batches = [Batch(to_float(images[:BATCH]), labels[:BATCH] if state.model.classes else None)]
                losses = part.stage.step(batches * part.stage.batches, update, state.rng, state.progress)
                if not isinstance(losses, dict):
                    _fail(name, f"{part.stage.name} gives {type(losses).__name__}", 'give named losses: {"loss": loss}')
                for loss, value in losses.items():
                    if not isinstance(value, Tensor) or value.ndim or not torch.isfinite(value):
                        shown = " ".join(f"{value}".split())
                        _fail(name, f"{part.stage.name} gives the loss {loss!r} as {shown}", "give finite scalars")
                moved = {of for of, net in state.model.networks().items() if not _equal(before[of], net.parameters())}
                if moved != updated:
                    changed = f"a step of {part.stage.name} updates {sorted(updated)} and moves {sorted(moved)}"
                    _fail(name, changed, "weights move by update() alone, whose losses have gradients of all of them")
                ever |= updated
        if ever != set(state.model.networks()):
            _fail(name, f"nothing updates {sorted(set(state.model.networks()) - ever)}", "keep such weights in buffers")


def check_samples(name: str) -> None:
    """Its samples are images, and depend on the seed, on their place and label, and on nothing else."""
    spec = MODELS[name]
    options = spec.sampling_with(spec.small_sampling)
    for shape in SHAPES:
        state, config, images, labels = fresh(name, shape)
        for _ in run_steps(state, images, labels if state.model.classes else None, config):
            pass
        model = state.model.eval()
        y = torch.arange(4) if model.classes else None
        with torch.inference_mode():
            drawn = model.sample(4, y, Noise.seeded(0), options)
            if drawn.shape != (4, *shape) or not (drawn.min() >= 0 and drawn.max() <= 1):
                found = f"{tuple(drawn.shape)} from {drawn.min():.3g} to {drawn.max():.3g}"
                _fail(name, f"4 samples are {found}", f"they must be {(4, *shape)} from 0 to 1")
            if torch.equal(drawn[0], drawn[1]):
                _fail(name, "all samples are one image", "sample() must draw from rng for every row")
            if isinstance(model, HasLatents):
                decoded = model.decode(model.noise(4, Noise.seeded(0)), y, options)
                if not torch.equal(decoded, drawn):
                    _fail(name, "decode(noise()) is not sample()", "leave sample() to LatentModel, or be no HasLatents")
        if isinstance(model, Encodes):
            x = to_float(images[:4])
            with torch.inference_mode():
                again = model.reconstruct(x, y)
            if again.shape != x.shape or not (again.min() >= 0 and again.max() <= 1):
                _fail(name, f"it reconstructs {tuple(x.shape)} as {tuple(again.shape)}", "give images from 0 to 1")
        whole, *others = (
            np.concatenate(list(sampling.samples(model, n, 1, sampling.labels_for(model, n, None), size, options)))
            for n, size in ((130, 130), (130, 7), (9, 1))
        )
        if not all(np.array_equal(other, whole[: len(other)]) for other in others):
            fix = "every random number must come from rng, and sample() must change nothing of the model"
            _fail(name, "the same seed gives other samples the second time", fix)


def check_resume(name: str) -> None:
    """A run that is stopped within and between its stages, and goes on each time, has the bits of one that was not."""
    config = settings_of(name)
    data = images_for(SHAPES[0], built(name, config, SHAPES[0]))
    plan = planned(built(name, config, SHAPES[0]), config, len(data[0]))
    starts = [part.first_step for part in plan.parts]
    with TemporaryDirectory() as home:
        train(name, config, Path(home) / "whole", data, None)
        for stop in [*(step for start in starts for step in (start, start + 1) if step), None]:
            train(name, config, Path(home) / "parts", data, stop)
        whole, parts = (load_checkpoint(Path(home) / run / "checkpoint", GROUPS) for run in ("whole", "parts"))
    for group, tensors in whole.items():
        for key, tensor in tensors.items():
            if not torch.equal(tensor, parts[group][key]):
                fix = "what a step remembers must be a parameter or a buffer, and its random numbers come from rng"
                _fail(name, f"a run that was stopped and continued has another {group}/{key}", fix)


def check_processes(name: str) -> None:
    """Two processes train what one does: the same losses and weights, but for the order in which float32 is summed.

    Steps go down gradients of length 1 at most: the division of Adam would make of rounding what its rate is. Then
    networks differ by some 1e-6 of the way that they have gone, by 1e-5 with batch norm. Where rounding decides on
    which side of 0 a ReLU is, or which pixel of a pool is the largest, it can be a tenth of the way: chance, which
    some starts meet and others do not. A fault is what all STARTS show. The smallest one, a loss that is no mean over
    rows, makes more than TOLERANCE of the way.
    """
    found = ""
    for seed in range(STARTS):
        if not (found := _unlike(name, seed)):
            return
    _fail(name, found, ONE_BATCH)


def _unlike(name: str, seed: int) -> str:
    """What two processes have otherwise than one after the same steps, or nothing; they must have the same bits."""
    start = fresh(name, SHAPES[0], seed=seed)[0].model
    ((one, losses),) = together(1, lambda group: descended(name, group, seed))
    (two, found), (other, _) = together(2, lambda group: descended(name, group, seed))
    for key, tensor in two.state_dict().items():
        if not torch.equal(tensor, other.state_dict()[key]):
            _fail(name, f"two processes have different {key} after the same steps", ONE_BATCH)
    for network in start.networks():
        far = _far(*(torch.cat([p.flatten() for p in m.networks()[network].parameters()]) for m in (start, one, two)))
        if far > TOLERANCE:
            return f"two processes move {network} otherwise than one, by {far:.2g} of the way"
    for key, buffer in start.named_buffers():
        if buffer.is_floating_point() and _far(buffer, one.get_buffer(key), two.get_buffer(key)) > TOLERANCE:
            return f"two processes have another {key} than one"
    for step, (row, wanted) in enumerate(zip(found, losses, strict=True)):
        for loss, value in wanted.items():
            if not abs(row[loss] - value) <= TOLERANCE * (1 + abs(value)):
                return f"two processes have {loss} {row[loss]:.6g} at step {step + 1}, one {value:.6g}"
    return ""


def check_terms(name: str) -> None:
    """The terms of its loss, if it has them, are finite, one per image, and asked for without a change of the model."""
    state, _, images, labels = fresh(name, SHAPES[0])
    model, y = state.model.eval(), labels[:BATCH] if state.model.classes else None
    if not isinstance(model, HasTerms):
        return
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with torch.no_grad():
        terms = model.terms(to_float(images[:BATCH]), y, Noise.seeded(0))
    if not terms:
        _fail(name, "terms() gives none", "leave it out, or give the parts that the loss is the sum of")
    for term, value in terms.items():
        if value.shape != (BATCH,) or not torch.isfinite(value).all():
            _fail(
                name,
                f"the term {term!r} is {tuple(value.shape)} or not finite",
                f"give one number per image, {(BATCH,)}",
            )
    moved = [key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])]
    if moved:
        _fail(name, f"terms() changes {moved[0]}", "in evaluation mode it must change nothing of the model")


def check_options(name: str) -> None:
    """No option of its sampling is called like an option of a command, which would hide it."""
    commands = [thing for thing in vars(options).values() if isinstance(thing, type) and is_dataclass(thing)]
    commands.remove(ModelSettings)  # a run's settings are no options of the commands that sample it
    for field in having(MODELS[name].sampling) & set().union(*map(having, commands)):
        _fail(name, f"its option of sampling {option(field)} is one of a command, too", "give it another name")


CHECKS = (
    check_networks,
    check_steps,
    check_samples,
    check_terms,
    check_resume,
    check_processes,
    check_options,
)


def _fail(name: str, what: str, fix: str) -> NoReturn:
    raise AssertionError(f"{name}: {what}; {fix}")


def _equal(before: list[Tensor], now: Iterable[Tensor]) -> bool:
    return all(torch.equal(one, two) for one, two in zip(before, now, strict=True))


def _noting(name: str, state: State, updated: set[str]) -> Callable[[str, Tensor], None]:
    """The state's update, which keeps the names of the networks that it moves."""
    plain = state.update

    def update(network: str, loss: Tensor) -> None:
        if network not in state.optimizers:
            _fail(name, f"update({network!r}, …) names no network", f"networks() has {list(state.optimizers)}")
        try:
            plain(network, loss)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            _fail(
                name, f"no gradients for update({network!r}, …) ({reason})", "its loss must depend on all its weights"
            )
        updated.add(network)

    return update


@torch.no_grad()
def _far(start: Tensor, one: Tensor, two: Tensor) -> float:
    """How far two ends are from each other, as a share of the way to one; of its length, where that is rounding."""
    way = torch.maximum(torch.dist(start, one), 1e-5 * one.norm()) + 1e-12
    return float(torch.dist(one, two) / way)
