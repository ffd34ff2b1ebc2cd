"""Whether products of float32 numbers are exact to float32, or rounded to TF32 or bfloat16 for speed.

PyTorch has this as settings of the whole process, in two forms: an older one for matrix products and cuDNN, and, since
version 2.9, one for each operation of each library. It refuses to read the older one where the two disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import backends

Restore = Callable[[], None]

NEWER = hasattr(backends, "fp32_precision")
_libraries: Any = backends  # PyTorch adds the operations to its modules when it is imported
GPU = [_libraries.cuda.matmul, _libraries.cudnn.conv, _libraries.cudnn.rnn] if NEWER else []
CPU = [_libraries.mkldnn.matmul, _libraries.mkldnn.conv, _libraries.mkldnn.rnn] if NEWER else []


def set_tf32(allowed: bool) -> Restore:
    """Allow TF32 in matrix products and convolutions on NVIDIA GPUs, or allow no rounding on any device.

    Returns a function that restores what was set before, in both forms.
    """
    operations = [*GPU, *CPU]
    precisions = [operation.fp32_precision for operation in operations]
    matmul, cudnn = _read(torch.get_float32_matmul_precision), _read(lambda: backends.cudnn.allow_tf32)

    _set_older("high" if allowed else "highest", allowed)
    for operation in operations:
        operation.fp32_precision = "tf32" if allowed and operation in GPU else "ieee"

    def restore() -> None:
        _set_older(matmul, cudnn)
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = precision

    return restore


def _read(setting: Callable[[], Any]) -> Any:
    """The older form's value, or None where the newer form has contradicted it."""
    try:
        return setting()
    except RuntimeError:
        return None


def _set_older(matmul: str | None, cudnn: bool | None) -> None:
    if matmul is not None:
        torch.set_float32_matmul_precision(matmul)
    if cudnn is not None:
        backends.cudnn.allow_tf32 = cudnn
