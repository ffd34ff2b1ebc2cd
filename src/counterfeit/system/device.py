"""The device to compute on."""

from __future__ import annotations

import torch

from counterfeit.errors import InputError
from counterfeit.system.arguments import shown

KINDS = ("cpu", "cuda", "mps", "xpu")  # PyTorch has other kinds, which compute nothing or were never tried here


def pick_device(name: str) -> torch.device:
    """The device with this name; `auto` takes cuda, then mps, then cpu. Raises InputError if it is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in KINDS or (number and not (number.isascii() and number.isdecimal() and len(number) < 4)):
        raise InputError(
            f"--device {shown(name)[1:-1]} cannot be used here: it must be auto, {', '.join(KINDS)}, or e.g. cuda:1"
        )
    if kind == "cpu" and number.strip("0"):
        raise InputError(
            f"--device {name} cannot be used here: PyTorch has a single cpu device for all cores: pass cpu"
        )
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"--device {name} cannot be used here ({reason}): pass cpu or auto") from None
    return device
