"""Check that there is enough memory, to fail in one line before the work rather than be killed by the system later.

Estimates count only what must be in memory at the same time. Work that passes the check may still run out of memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from counterfeit.errors import InputError

if TYPE_CHECKING:  # data is read and listed without torch
    import torch
    from torch import nn

# Limits of a container: cgroup versions 2 and 1.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
ADAM = 4  # float32 numbers per weight: the weight, its gradient and two moments


def check_room(needed: int, what: str, fix: str, device: torch.device | None = None) -> None:
    """Raise InputError if `needed` bytes are more than the available memory; never if that is unknown."""
    there = of_card(device) if device is not None and device.type == "cuda" else available()
    if there is not None and needed > there:
        where = f"{device} has" if device is not None and device.type == "cuda" else "there is"
        raise InputError(f"{what} would take {in_bytes(needed)} of memory, and {where} {in_bytes(there)}: {fix}")


def available() -> int | None:
    """Bytes that this process can still allocate without swapping; None if the system does not report it."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    for path in LIMITS:
        try:
            found.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # "max" if there is no limit
            continue
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def of_card(device: torch.device) -> int:
    """Total memory of a CUDA device in bytes."""
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def in_training(model: nn.Module, average: bool) -> int:
    """Bytes of a model's weights, gradients and Adam state in float32; with `average`, of a moving average too.

    The model may be on the device "meta", where it takes no memory itself.
    """
    weights, beside = (sum(one.numel() for one in found) for found in (model.parameters(), model.buffers()))
    return 4 * (weights * (ADAM + average) + beside * (1 + average))


def in_saving(model: nn.Module) -> int:
    """Bytes that a checkpoint takes while it is written: Adam's moments, as bytes of each and as the whole file."""
    return 4 * 2 * (ADAM - 2) * sum(one.numel() for one in model.parameters())


def in_bytes(n: int) -> str:
    """A number of bytes in words: `340 MiB`, `1.2 TiB`."""
    size, units = float(n), ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while size >= 1000 and len(units) > 1:
        size, _ = size / 1024, units.pop(0)
    return f"{size:,.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"
