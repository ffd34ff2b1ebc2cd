"""In which numbers a training step's products are computed. Weights, Adam and losses are float32 always."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, matrix products and convolutions are computed in `precision`, `tf32` only on cuda."""
    rounded = precision == "bfloat16"
    # Autocast's cache of rounded weights would outlive their update: a generator would face a former discriminator.
    cast = torch.autocast(device.type, torch.bfloat16, cache_enabled=False) if rounded else nullcontext()
    with _cuda_kernels(tf32=precision == "tf32") if device.type == "cuda" else nullcontext(), cast:
        yield


@contextmanager
def _cuda_kernels(tf32: bool) -> Iterator[None]:
    """All bits of a float32 operand or the first 10, where PyTorch's own choice differs by the operation; and kernels
    that give the same bits every time, without which no run could be continued exactly."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
