"""Whether there is memory for what is asked for: said in one line before the work, and not by the system in the midst.

Estimates count what surely has to be there at once. What is let through may still not fit.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from counterfeit.errors import InputError

if TYPE_CHECKING:  # data are read, and listed, without torch
    import torch
    from torch import nn

LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)  # of a container, versions 2 and 1
ADAM = 4  # a weight, its gradient and two moments


def check_room(needed: int, what: str, mend: str, device: torch.device | None = None) -> None:
    """InputError where so many bytes are more than the memory that is there; where that is not known, nothing."""
    there = of_card(device) if device is not None and device.type == "cuda" else available()
    if there is not None and needed > there:
        where = f"{device} has" if device is not None and device.type == "cuda" else "there is"
        raise InputError(f"{what} would take {in_bytes(needed)} of memory, and {where} {in_bytes(there)}: {mend}")


def available() -> int | None:
    """Bytes that a process here may still get without swapping, None where the system does not say."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    for path in LIMITS:
        try:
            found.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # "max" where there is no limit
            continue
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def of_card(device: torch.device) -> int:
    """Bytes of memory of a CUDA device."""
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


def in_training(model: nn.Module, average: bool) -> int:
    """Bytes of a model's weights and of what Adam keeps beside them; `average`: a moving average too.

    The model may be on the device "meta", where it takes no room of its own.
    """
    weights, beside = (sum(one.numel() for one in found) for found in (model.parameters(), model.buffers()))
    return 4 * (weights * (ADAM + average) + beside * (1 + average))


def in_bytes(n: int) -> str:
    """`340 MiB`, `1.2 TiB`."""
    size, units = float(n), ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while size >= 1000 and len(units) > 1:
        size, _ = size / 1024, units.pop(0)
    return f"{size:,.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"
