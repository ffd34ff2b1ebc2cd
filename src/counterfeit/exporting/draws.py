"""How a model draws its latents, where a page in a browser can do the same: see `web/noise.js`."""

from __future__ import annotations

import torch

from counterfeit.models.base import HasLatents
from counterfeit.sampling import BLOCK
from counterfeit.system.noise import Noise

NORMAL, UNIFORM, OWN = "normal", "uniform", "own"


def draws(model: HasLatents) -> str:
    """NORMAL: N(0, I); UNIFORM: on [-1, 1]; OWN: in another way. Found by its draws, whatever its class."""
    shape = (BLOCK, *model.latent_shape)

    def source() -> Noise:
        return Noise.seeded(0, "cpu", "samples")

    found = model.noise(BLOCK, source()).cpu()
    for name, expected in ((NORMAL, source().normal(*shape)), (UNIFORM, source().uniform(*shape) * 2 - 1)):
        if torch.equal(found, expected):
            return name
    return OWN
