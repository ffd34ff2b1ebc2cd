"""What models have in common whose generator plays against another network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from counterfeit.models.base import LatentModel
from counterfeit.models.gan.augment import augmented
from counterfeit.system.noise import Noise


class AdversarialModel(LatentModel):
    """A generator of images, and a network that judges them. Both know images in [-1, 1].

    Attributes:
        generator: latents (B, Z), labels (B,) or None -> pixels before the tanh (B, C, H, W).
        augment: names of changes to all images that the other network sees, see `augment.CHANGES`.
    """

    generator: nn.Module
    augment: Sequence[str] = ()

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Latents (B, Z), labels (B,) or None -> images (B, C, H, W) in [-1, 1]."""
        return self.generator(z, y).tanh()

    def shown(self, images: Tensor, rng: Noise) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] as the other network sees them."""
        return augmented(images, self.augment, rng)

    def decode(self, z: Tensor, y: Tensor | None = None, options: Any = None) -> Tensor:
        return (self.generate(z, y) + 1) / 2
