"""What every family of generators is to the training loop, to sampling and to scoring.

A family is an objective over a pair of nets. The two classes here are abstract; the families are final.
Letters: B batch, C channels, H and W height and width, Z latent length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from counterfeit.system.noise import Noise

# update(player, loss): one optimiser step on that player's parameters, and on nothing else. The loop provides it.
Update = Callable[[str, Tensor], None]


@contextmanager
def constant(net: nn.Module) -> Iterator[None]:
    """What is computed by the net within has gradients of its inputs only.

    A player's loss that runs through another's net would else compute the gradients of that one's weights as well, for
    nothing: asking autograd for some gradients only does not spare those that layers of our own compute.
    """
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


class Family(nn.Module, ABC):
    """A generator in training.

    Attributes:
        latent: Z.
        classes: number of labels that it is conditioned on; 0 when it takes none.
    """

    def __init__(self, latent: int, classes: int = 0) -> None:
        super().__init__()
        self.latent = latent
        self.classes = classes

    @abstractmethod
    def players(self) -> dict[str, nn.Module]:
        """The modules that are optimised apart, by name: their parameters are disjoint and together all there are."""

    @abstractmethod
    def step(self, x: Tensor, y: Tensor | None, update: Update, rng: Noise) -> dict[str, Tensor]:
        """One training step, as the paper's algorithm box says it.

        Args:
            x: images (B, C, H, W), float in [0, 1].
            y: labels (B,) int64, or None.
            update: see `Update`; call it once for each player, with a loss that depends on all of its parameters.
            rng: the only source of randomness.

        Returns:
            Named losses, scalars, left on the device (reading them here would stall it).
        """

    @abstractmethod
    def noise(self, n: int, rng: Noise) -> Tensor:
        """Draw n latent vectors from the distribution that samples are generated from: (n, Z)."""

    @abstractmethod
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Latent vectors (B, Z), labels (B,) or None -> images (B, C, H, W), float in [0, 1]."""


class Autoencoder(Family):
    """A family that also maps images to latent vectors.

    Attributes:
        weights: of terms by name, in training only; a term that is not named counts once.
    """

    def __init__(self, latent: int, classes: int = 0, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(latent, classes)
        self.weights = dict(weights or {})

    @abstractmethod
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> latent vectors (B, Z); of a distribution, the mean."""

    @abstractmethod
    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        """The loss's terms, whose sum it is: each (B,), in nats an image."""

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images -> their encoding, decoded: (B, C, H, W) in [0, 1]."""
        return self.decode(self.encode(x, y), y)

    def step(self, x: Tensor, y: Tensor | None, update: Update, rng: Noise) -> dict[str, Tensor]:
        terms = {name: term.mean() for name, term in self.terms(x, y, rng).items()}
        loss = reduce(torch.add, [term * self.weights.get(name, 1.0) for name, term in terms.items()])
        update("autoencoder", loss)
        return {"loss": loss} | (terms if len(terms) > 1 else {})
