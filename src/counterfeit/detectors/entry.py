"""The registry of named detectors, and what a user may choose about one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterfeit.catalog import DetectorFacts
from counterfeit.detectors.detector import Detector
from counterfeit.errors import InputError
from counterfeit.registry import Registry


@dataclass(frozen=True)
class Options:
    """What may be chosen about a detector; for those that it does not have there is `refuse`.

    Attributes:
        device: where to compute.
        weights: file of Inception weights; by default COUNTERFEIT_INCEPTION, the cache, or a download.
        any_weights: take Inception weights of another SHA-256 than the standard file's.
        protocol: Inception's resize protocol, a name in PROTOCOLS; by default tf1.
        compile: translate the network with torch.compile: a minute or two at the start, quicker from then on.
    """

    device: torch.device
    weights: str | os.PathLike[str] | None = None
    any_weights: bool = False
    protocol: str | None = None
    compile: bool = False

    def refuse(self, detector: str, *names: str) -> None:
        """InputError when one of the named options is set: `detector` has none such."""
        for name in names:
            if getattr(self, name):
                of = "the named detectors" if name == "compile" else "inception"
                raise InputError(f"--{name.replace('_', '-')} is only for {of}, and the detector is {detector}")


@dataclass(frozen=True)
class Entry(DetectorFacts):
    """A named detector.

    Attributes:
        make: loads it; raises InputError, or DataError where weights cannot be fetched.
    """

    make: Callable[[Options], Detector]


DETECTORS: Registry[Entry] = Registry("detector")


def compiled(network: nn.Module, example: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The network translated by torch.compile, for inputs of the example's shape; InputError where that cannot be."""
    quick = torch.compile(network)
    try:
        with torch.inference_mode():
            quick(example)
    except Exception as error:  # the compiler's own, or whatever the C++ compiler's absence leads to
        fault = " ".join(str(error).split())[:160]
        raise InputError(f"--compile does not work here ({type(error).__name__}: {fault}); leave it out") from error
    return quick
