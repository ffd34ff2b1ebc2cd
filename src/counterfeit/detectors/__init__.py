"""Detectors: uint8 images -> features, and class probabilities where the detector is a classifier.

>>> from counterfeit import detectors
>>> mnist_cnn = detectors.load("mnist-cnn")  # doctest: +SKIP
>>> mnist_cnn(images).features.shape  # doctest: +SKIP
(10000, 224)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from counterfeit import catalog
from counterfeit.detectors import dinov2, inception, small_cnn, stacked  # noqa: F401 - each registers its detectors
from counterfeit.detectors.custom import from_callable, from_onnx
from counterfeit.detectors.detector import Detector, Features
from counterfeit.detectors.entry import DETECTORS, Entry, Options
from counterfeit.detectors.probe import probed
from counterfeit.detectors.resize import PROTOCOLS
from counterfeit.errors import InputError
from counterfeit.system import paths
from counterfeit.system.arguments import checked
from counterfeit.system.device import pick_device
from counterfeit.system.isolation import alone

__all__ = ["DETECTORS", "PROTOCOLS", "Detector", "Entry", "Features", "auto", "load", "probed"]


DETECTORS.arrange(catalog.DETECTORS)  # imports are sorted by name, and so would be what they register


@checked
@alone
def load(
    detector: str | os.PathLike[str] | Callable[[Tensor], Any],
    *,
    weights: str | os.PathLike[str] | None = None,
    protocol: str | None = None,
    any_weights: bool = False,
    device: str = "auto",
    compile: bool = False,
) -> Detector:
    """Load a detector, ready to be called.

    Args:
        detector: a name in DETECTORS; the path of an .onnx file; or a function that takes a uint8 tensor (B, C, H, W)
            on `device` and returns features (B, D).
        weights: file of the weights of Inception or DINOv2; by default for Inception COUNTERFEIT_INCEPTION, then the
            cache, then a download into the cache.
        protocol: how images are resized for Inception, a name in PROTOCOLS; by default tf1.
        any_weights: accept weights whose SHA-256 is not that of the standard file; the detector's name shows it.
        device: cpu, cuda, cuda:1, mps, or auto for the best one available.
        compile: compile a named detector with torch.compile; takes a minute or two at the start and is faster
            afterwards.

    Raises:
        InputError: the detector, weights or device do not exist, are damaged, or an option does not apply to the
            detector.
        DataError: the weights cannot be downloaded.
    """
    options = Options(pick_device(device), weights, any_weights, protocol, compile)
    if isinstance(detector, str) and detector in DETECTORS:
        return DETECTORS[detector].make(options)
    if isinstance(detector, str | os.PathLike):
        path = Path(paths.typed(detector))
        options.refuse(path.name, "weights", "any_weights", "protocol", "compile")
        if path.suffix.lower() != ".onnx":
            known = DETECTORS.suggest(str(detector))
            raise InputError(f"no detector named {str(detector)!r}; {known}; or pass the path of an .onnx file")
        return from_onnx(path)
    if not callable(detector):
        raise InputError(
            f"a detector is a name, the path of an .onnx file or a function, not {type(detector).__name__}"
        )
    options.refuse("a function", "weights", "any_weights", "protocol", "compile")
    return from_callable(detector, options.device)


def auto(data: str, shape: tuple[int, int, int], *, weights: str | os.PathLike[str] | None = None) -> tuple[str, str]:
    """Choose the detector for the images of a data set; return its name and the reason, to show to the user.

    Args:
        data: name of the data set that generated images are compared with (`ImageSet.dataset`); "" for the user's own
            images, whatever their name.
        shape: (C, H, W) of its images.
        weights: as in `load`.
    """
    for name, entry in DETECTORS.items():
        if data in entry.data:
            return name, f"it was trained on {entry.data[0]}"
    if inception.WEIGHTS.at_hand(weights):
        return "inception", "the standard for images of one's own, and its weights are here"
    name, kind = ("cifar10-cnn", "color") if shape[0] == 3 else ("fashion-cnn", "gray")
    return name, (
        f"it ships with the package and takes {kind} images; better for images of your own is --detector inception, "
        "which fetches 91 MiB once or takes them from --weights PATH"
    )
