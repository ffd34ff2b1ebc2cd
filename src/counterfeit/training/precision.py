"""In which numbers a training step's products are computed. Weights, Adam and losses are float32 always."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from counterfeit.system.float32 import set_tf32


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, matrix products and convolutions are computed in `precision`, `tf32` only on cuda.

    Within `isolated()`, without which they may be in TF32 for float32, too.
    """
    with ExitStack() as held:
        if precision == "tf32":
            held.callback(set_tf32(True))
        if precision == "bfloat16":
            # Autocast's cache of rounded weights would outlive their update: a generator would face a former
            # discriminator.
            held.enter_context(torch.autocast(device.type, torch.bfloat16, cache_enabled=False))
        yield
