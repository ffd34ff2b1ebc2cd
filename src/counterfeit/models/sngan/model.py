"""The auxiliary classifier GAN: a discriminator that also names the class."""

from __future__ import annotations

from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from counterfeit.models.base import Losses
from counterfeit.models.gan.model import GAN


@final
class ACGAN(GAN):
    """Odena, Olah & Shlens 2017 (arXiv:1610.09585): the discriminator also names the class, in outputs 1 to K.

    It learns to from real images alone, as in Gulrajani et al. 2017: on generated ones it would learn their faults.
    """

    def __init__(self, *args: Any, real_weight: float, fake_weight: float, **rest: Any) -> None:
        """The weights are those of the classes' cross-entropy, in the discriminator's loss and in the generator's."""
        super().__init__(*args, **rest)
        self.real_weight, self.fake_weight = real_weight, fake_weight

    def of_discriminator(self, both: Tensor, y: Tensor | None) -> Losses:
        assert y is not None, "an ACGAN needs labels"
        named = F.cross_entropy(both[: len(y), 1:], y)
        return {"d_classes": self.real_weight * named}

    def of_generator(self, outputs: Tensor, y: Tensor | None) -> Losses:
        assert y is not None, "an ACGAN needs labels"
        return {"g_classes": self.fake_weight * F.cross_entropy(outputs[:, 1:], y)}
