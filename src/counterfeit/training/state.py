"""All that changes while training, and how it does: optimizers, moving average, noise."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from counterfeit.errors import InputError, RunError
from counterfeit.models import ModelSettings
from counterfeit.models.base import Model
from counterfeit.models.plan import Plan
from counterfeit.nets import share_batch_norm
from counterfeit.system.distributed import ALONE, Group
from counterfeit.system.noise import Noise
from counterfeit.training import cuda_graph
from counterfeit.training.optimizers import OPTIMIZERS, Optimizer, laid_out

Tensors = dict[str, Tensor]


@dataclass
class State:
    """All that changes while training: saved and loaded, it continues exactly.

    Attributes:
        model: on its device, in training mode.
        optimizers: of each of its networks.
        average: exponential moving average of the weights, or None.
        rng: the source of the training noise, on the model's device.
        group: the processes that train it together; each has the whole state, and all have the same.
        step: steps done. With the seed it gives the position in the data: no other state is needed for that.
        progress: the share of the stage's steps that are done, for the model's step; float32 on the device.
    """

    model: Model
    optimizers: dict[str, Optimizer]
    average: Model | None
    rng: Noise
    group: Group = ALONE
    step: int = 0
    names: dict[Tensor, str] = field(default_factory=dict)
    progress: Tensor = field(default_factory=lambda: torch.zeros(()))

    @classmethod
    def fresh(cls, model: Model, config: ModelSettings, device: torch.device, group: Group = ALONE) -> State:
        """Optimizers, average and noise for a model that has not been trained."""
        # Channels-last is what convolutions are fastest on; it touches parameters with four axes only.
        model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        on_device = cuda_graph.can_record(device)
        optimizers: dict[str, Optimizer] = {}
        for name, network in model.networks().items():
            recipe = config.optimizer_of(name)
            optimizers[name] = OPTIMIZERS[recipe.kind](network.parameters(), recipe, device, on_device)
        average = copy.deepcopy(model).requires_grad_(False) if config.ema else None
        share_batch_norm(model, group)  # not the average's, which is never trained
        rng = Noise(torch.Generator(device).manual_seed(config.seed), group.rank, group.world)
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        progress = torch.zeros((), device=device)
        return cls(model, optimizers, average, rng, group, names=names, progress=progress)

    def tensors(self) -> dict[str, Tensors]:
        """Everything as named tensors, in groups: `model` and `ema` are what sampling needs, `training` the rest."""
        training = {"rng": self.rng.generator.get_state(), "step": torch.tensor(self.step), **self._remembered()}
        groups = {"model": self.model.state_dict(), "training": training}
        if self.average is not None:
            groups["ema"] = self.average.state_dict()
        return groups

    def load(self, groups: dict[str, Tensors], step: int) -> None:
        """Take over what `tensors` gave, after `step` steps."""
        training, kept = groups["training"], self._remembered()
        if training.keys() != {"rng", "step", *kept}:
            raise RunError("the run's checkpoint is of another version: train anew into another --out")
        rng = self.rng.generator
        if len(training["rng"]) != len(rng.get_state()):
            raise InputError(f"the run drew its noise on another kind of device than {rng.device}: pass its --device")
        rng.set_state(training["rng"].cpu())
        self.model.load_state_dict(groups["model"])
        for name, tensor in kept.items():
            tensor.copy_(training[name])
        if self.average is not None:
            self.average.load_state_dict(groups["ema"])
        self.step = step

    def _remembered(self) -> Tensors:
        """What the optimizers remember, by name: the tensors themselves."""
        found = {}
        for network, optimizer in self.optimizers.items():
            found[f"{network}.steps"] = optimizer.steps
            for name, moments in optimizer.moments.items():
                of_weights = zip(optimizer.parameters, moments, strict=True)
                found |= {f"{self.names[parameter]}.{name}": moment for parameter, moment in of_weights}
        return found

    def set_rates(self, config: ModelSettings, plan: Plan) -> None:
        """The learning rates of the step to come, and how far its stage is."""
        done, progress = self.step - plan.at(self.step).first_step, plan.progress(self.step)
        factor = config.rate_factor(plan.epoch(self.step), done, progress)
        for optimizer in self.optimizers.values():
            optimizer.set_rate(optimizer.recipe.lr * factor)
        self.progress.fill_(progress)

    @torch.no_grad()
    def move_average(self, decay: float) -> None:
        """Bring the average nearer to the weights, after each step, by a decay that grows to `decay`.

        It is (1 + t) / (10 + t) after t steps, as TensorFlow's ExponentialMovingAverage with num_updates has it: with a
        constant one the average would still be a tenth of untrained weights after 2,300 steps at 0.999. The first step
        makes it the weights.

        Buffers are averaged too: batch norm's moments of the present weights are far from those of averaged ones.
        """
        if self.average is None:
            return
        share = 1 - min(decay, (1 + self.step) / (10 + self.step)) if self.step else 1.0
        for average, now in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if average.is_floating_point():
                average.lerp_(now, share)
            else:
                average.copy_(now)  # batch norm's count of batches

    def update(self, network: str, loss: Tensor) -> None:
        """One optimizer step on one network; its gradients, and no others, are averaged over processes."""
        optimizer = self.optimizers[network]
        found = torch.autograd.grad(loss, optimizer.parameters)
        gradients = [laid_out(gradient, of) for gradient, of in zip(found, optimizer.parameters, strict=True)]
        self.group.average(gradients)
        optimizer.step(gradients)
