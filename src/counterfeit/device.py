"""Where to compute."""

from __future__ import annotations

import torch

from counterfeit.errors import InputError

KINDS = ("cpu", "cuda", "mps", "xpu")  # PyTorch knows more, such as meta, which computes nothing
SINGLE = ("cpu", "mps")


def pick_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu; InputError when the named device is not there."""
    name = str(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in KINDS or (kind in SINGLE and number not in ("", "0")):
        raise InputError(f"--device {name} is none that computes here: take auto, cpu, cuda, cuda:N, mps or xpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except Exception as error:  # a backend that is missing or broken raises nearly anything
        fault = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({fault}); take cpu or auto") from None
    return device
