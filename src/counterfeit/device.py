"""Where to compute."""

from __future__ import annotations

import torch

from counterfeit.errors import InputError


def pick_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu; InputError when the named device is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}); take cpu or auto") from None
    return device
