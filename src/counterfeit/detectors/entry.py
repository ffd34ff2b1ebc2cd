"""The registry of named detectors, and the options of a detector."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from counterfeit.catalog import DetectorFacts
from counterfeit.detectors.detector import Detector
from counterfeit.errors import InputError
from counterfeit.registry import Registry


@dataclass(frozen=True)
class Options:
    """The options of a detector. A detector calls `refuse` for those that it does not have.

    Attributes:
        device: where to compute.
        weights: file of the weights of Inception or DINOv2; by default the cache, then a download.
        any_weights: accept weights whose SHA-256 is not that of the standard file.
        protocol: resize protocol for Inception, a name in PROTOCOLS; by default tf1.
        compile: compile the network with torch.compile; takes a minute or two at the start and is faster afterwards.
    """

    device: torch.device
    weights: str | os.PathLike[str] | None = None
    any_weights: bool = False
    protocol: str | None = None
    compile: bool = False

    def refuse(self, detector: str, *names: str) -> None:
        """Raise InputError if one of the named options is set, which `detector` does not have."""
        for name in names:
            if getattr(self, name):
                of = {"compile": "the named detectors", "protocol": "inception"}.get(name, "inception and dinov2")
                raise InputError(f"--{name.replace('_', '-')} is only for {of}, and the detector is {detector}")


@dataclass(frozen=True)
class Entry(DetectorFacts):
    """A named detector.

    Attributes:
        make: loads it; raises InputError, or DataError if the weights cannot be downloaded.
    """

    make: Callable[[Options], Detector]


DETECTORS: Registry[Entry] = Registry("detector")


def compiled(network: nn.Module, example: Tensor) -> Callable[[Tensor], Any]:
    """Compile the network for inputs of the example's shape. Raises InputError if torch.compile does not work here."""
    quick = torch.compile(network)
    try:
        with torch.inference_mode():
            quick(example)
    except Exception as error:  # the compiler's own errors, or whatever a missing C++ compiler leads to
        fault = " ".join(str(error).split())[:160]
        raise InputError(f"--compile does not work here ({type(error).__name__}: {fault}); leave it out") from error
    return quick
