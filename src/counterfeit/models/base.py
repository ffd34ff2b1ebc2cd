"""The contract: what a generator is to the training loop, to sampling and to scoring.

A model is an objective over networks. What every model must have is the abstract part of `Model`; what some can do
beside is asked for by the protocols below it, never by a model's class or name.

Letters: B batch, C channels, H and W height and width, K classes, Z latent length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from counterfeit.system.noise import Noise

# update(network, loss): one optimizer step on that network's parameters, and on nothing else. The loop provides it.
Update = Callable[[str, Tensor], None]
Losses = dict[str, Tensor]


class Batch(NamedTuple):
    """Images (B, C, H, W), float in [0, 1], and their labels (B,) int64, or None."""

    x: Tensor
    y: Tensor | None = None


# step(batches, update, rng, progress) -> named losses, scalars: one training step, as the paper's algorithm box says it
#   batches: as many fresh ones as the stage asks for.
#   update: call it as often as the algorithm does, with a loss that depends on all parameters of the network.
#   rng: the only source of randomness.
#   progress: the share of the stage's steps that are done, from 0 to 1, a float32 scalar on the device. A tensor,
#       since a recorded step (CUDA graph) runs no Python: a number would stay what it was when it was recorded. A run
#       that is continued with more epochs has done a smaller share from there on.
# The losses stay on the device: reading them here would stall it. A step may leave some of them out.
Step = Callable[[Sequence[Batch], Update, Noise, Tensor], Losses]


@dataclass(frozen=True)
class Stage:
    """A phase of training.

    Attributes:
        step: see `Step`.
        name: for messages, where a model has several stages.
        batches: fresh batches that each step takes, such as one for every critic step of a WGAN.
        epochs: its length; None: to the end of the run, which only the last stage has.
        share: its length in place of `epochs`, as a share of the run's, which the user gives as epochs, steps or time.
            A run with such a stage cannot be made longer.
    """

    step: Step
    name: str = "training"
    batches: int = 1
    epochs: int | None = None
    share: float | None = None


class Model(nn.Module, ABC):
    """A generator in training.

    What it must not break, which `counterfeit.testing.check_model` finds: a run continues to the bit, samples do not
    depend on the batch size, several processes train what one would. So everything that a step remembers is a parameter
    or a buffer, under one name; every random number comes from its `rng`, whose first axis is that of the rows; and a
    buffer that follows the images is linear in means over the rows and not read in the step that moves it, since
    processes average their buffers after each step.

    Attributes:
        classes: K, the number of labels that it is conditioned on; 0 when it takes none.
    """

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """The parts with an optimizer each, by name: their parameters are disjoint and together all there are."""

    def stages(self) -> Sequence[Stage]:
        """The phases of training, in their order; most models have one."""
        return [Stage(self.step)]

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        """The step of a model with one stage, see `Step`."""
        raise NotImplementedError(f"{type(self).__name__} has neither a step nor stages of its own")

    @abstractmethod
    def sample(self, n: int, y: Tensor | None, rng: Noise, options: Any) -> Tensor:
        """Draw n images (n, C, H, W), float in [0, 1], for labels (n,) or None.

        `options` is of the type of the spec's `sampling`.
        """


@runtime_checkable
class HasLatents(Protocol):
    """It makes images of latents, and nothing else: the same latents and options give the same images.

    Attributes:
        latent_shape: of the latents of one image: (Z,), or that of an image.
    """

    latent_shape: tuple[int, ...]

    def noise(self, n: int, rng: Noise) -> Tensor:
        """Draw n latents from the distribution that samples are made of: (n, *latent_shape)."""

    def decode(self, z: Tensor, y: Tensor | None = None, options: Any = None) -> Tensor:
        """Latents (B, *latent_shape), labels (B,) or None -> images (B, C, H, W), float in [0, 1]."""


@runtime_checkable
class Encodes(Protocol):
    """It maps images to codes and back; where it also `HasLatents`, the codes are latents."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> codes (B, …); of a distribution, the mean."""

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images -> their encoding, decoded: (B, C, H, W) in [0, 1]."""


@runtime_checkable
class HasTerms(Protocol):
    """Its loss is a sum of terms per image, so that it has a test loss."""

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        """The loss's terms, whose sum it is: each (B,)."""


@runtime_checkable
class HasPosterior(Protocol):
    """It encodes an image to a Gaussian of latents, of which training decodes a draw."""

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x), each (B, Z)."""


@runtime_checkable
class HasBound(HasTerms, HasPosterior, Protocol):
    """It bounds the log-likelihood of images: a prior N(0, I) of z (Z,), a Gaussian posterior, and log p(x|z).

    If it has a method `caution(binarized)`, that gives a sentence on what its nats are, see `Likelihood.caution`.
    Without it they are taken for a Bernoulli's.
    """

    def distortion(self, z: Tensor, x: Tensor, y: Tensor | None = None) -> Tensor:
        """-log p(x|z) in nats: (B,)."""


@runtime_checkable
class Judges(Protocol):
    """It is trained against a network that tells its samples from images, and that may win."""

    def judged(self, x: Tensor, y: Tensor | None, rng: Noise) -> Tensor:
        """That network's loss on images (B, C, H, W) in [0, 1] and as many new samples, over the loss of a guess.

        A scalar: about 1 while it cannot tell them apart, 0 where it is sure and right. Asked in evaluation mode. A
        critic whose loss has no least value, as that of a WGAN, does not have this.
        """


@runtime_checkable
class HasCodebook(Protocol):
    """Its codes are entries of a codebook, of which some may never be taken."""

    def usage(self) -> Tensor:
        """How often each entry was taken lately: (K,), not negative; only the ratios matter."""


class LatentModel(Model):
    """A model whose samples are decoded noise: see `HasLatents`."""

    def __init__(self, latent_shape: tuple[int, ...], classes: int = 0) -> None:
        super().__init__(classes)
        self.latent_shape = latent_shape

    @abstractmethod
    def noise(self, n: int, rng: Noise) -> Tensor:
        """See `HasLatents.noise`."""

    @abstractmethod
    def decode(self, z: Tensor, y: Tensor | None = None, options: Any = None) -> Tensor:
        """See `HasLatents.decode`."""

    def sample(self, n: int, y: Tensor | None, rng: Noise, options: Any) -> Tensor:
        return self.decode(self.noise(n, rng), y, options)


class Autoencoder(LatentModel):
    """A model that also maps images to latents: it has `HasLatents`, `Encodes` and `HasTerms`.

    Attributes:
        weights: of terms by name, in training only; a term that is not named counts once.
    """

    def __init__(
        self, latent_shape: tuple[int, ...], classes: int = 0, weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(latent_shape, classes)
        self.weights = dict(weights or {})

    def networks(self) -> dict[str, nn.Module]:
        return {"autoencoder": self}

    @abstractmethod
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """See `Encodes.encode`."""

    @abstractmethod
    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        """See `HasTerms.terms`."""

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x, y), y)

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, y),) = batches
        terms = self.terms(x, y, rng)
        means = {name: term.mean() for name, term in terms.items()}
        asked = means | {name: term.mean() for name, term in self.penalties(terms, progress).items()}
        loss = reduce(torch.add, [term * self.weights.get(name, 1.0) for name, term in asked.items()])
        update("autoencoder", loss)
        return {"loss": loss} | (means if len(means) > 1 else {})

    def penalties(self, terms: Mapping[str, Tensor], progress: Tensor) -> dict[str, Tensor]:
        """What takes the place of some terms in training, each (B,); `progress` is that of `Step`."""
        return {}


@contextmanager
def constant(net: nn.Module) -> Iterator[None]:
    """What is computed by the net within has gradients of its inputs only.

    A network's loss that runs through another one would otherwise compute the gradients of that one's weights as well,
    for nothing: asking autograd for some gradients only does not spare those that layers of our own compute.
    """
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
