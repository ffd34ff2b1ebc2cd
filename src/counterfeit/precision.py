"""In which numbers a training step's products are computed. Weights, Adam and losses are float32 always."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within it, matrix products and convolutions are computed in `precision`, see `Config`; `tf32` is for cuda."""
    if precision == "bfloat16":
        # Its cache of rounded weights would outlive their update: a GAN's generator would face a former discriminator.
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
    return _float32(tf32=precision == "tf32") if device.type == "cuda" else nullcontext()


@contextmanager
def _float32(tf32: bool) -> Iterator[None]:
    """With all bits of a product's operands or with the first 10: PyTorch's own choice differs by the operation."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
