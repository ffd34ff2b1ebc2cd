"""The user's own detectors: a Python callable or an ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterfeit.detectors.detector import Detector
from counterfeit.errors import InputError
from counterfeit.system import reading
from counterfeit.system.console import say

MOST = 2 << 30  # bytes of an ONNX file: the largest that the format allows

BLOCK = 64  # images per call
AS_THEY_ARE = "images as they are"


def from_callable(function: Callable[[Tensor], Any], device: torch.device) -> Detector:
    """Make a detector from a function: uint8 (64, C, H, W) on `device` -> features (64, D), a tensor or an array.

    The function runs in torch.inference_mode and sees the images with their own size and channels. A short last block
    is filled with repeated images, so the result for one image must not depend on the others. A module, or a method of
    one, is called in evaluation mode (`.eval()`), whatever mode it is in. The parentheses in the detector's name, as in
    `FID[embed()]`, distinguish it from a named detector.
    """
    name = getattr(function, "__name__", type(function).__name__).strip("<>") + "()"
    module = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    if isinstance(module, nn.Module):
        if any(part.training for part in module.modules()):
            say(f"detector {name} is in training mode: it is used in evaluation mode, as after .eval()")
        function = _in_inference_mode(module, function)
    return Detector(
        name, AS_THEY_ARE, None, None, device, BLOCK, _guarded(name, function), classifier=False, custom=True
    )


def _in_inference_mode(module: nn.Module, function: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """Wrap the function: it runs with the module in evaluation mode; afterwards every submodule has its mode back."""

    def run(images: Tensor) -> Any:
        was = [(part, part.training) for part in module.modules()]
        module.eval()
        try:
            return function(images)
        finally:
            for part, training in was:
                part.training = training

    return run


def _guarded(name: str, function: Callable[[Tensor], Any]) -> Callable[[Tensor], tuple[Any, None]]:
    """Wrap the function as a detector's network: any exception becomes an InputError that describes the images."""

    def network(images: Tensor) -> tuple[Any, None]:
        try:
            features = function(images)
            return torch.from_numpy(features) if isinstance(features, np.ndarray) else features, None
        except Exception as error:
            images_are = f"uint8 images {tuple(images.shape)} on {images.device}"
            raise InputError(
                f"detector {name} fails on {images_are}: {type(error).__name__}: {_line(error)}"
            ) from error

    return network


def _line(error: Exception) -> str:
    """The message of an error as one line of at most 160 characters."""
    return " ".join(str(error).split())[:160]


def from_onnx(path: Path) -> Detector:
    """Make a detector from an ONNX file with one input, uint8 (B, C, H, W), and one output, features float32 (B, D).

    It runs on the CPU with onnxruntime, from the extra `counterfeit[onnx]`. If B is fixed in the file, it becomes the
    block size.

    Raises:
        InputError: onnxruntime is missing, the file cannot be read, or its inputs and outputs are different.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"{path} needs onnxruntime: pip install 'counterfeit[onnx]'") from None
    try:
        content = reading.content(path, MOST)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({reading.reason(error)})") from None
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise InputError(f"{path} is not an ONNX model that can be run ({_line(error)})") from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; a detector has one of each")
    if inputs[0].type != "tensor(uint8)" or len(inputs[0].shape) != 4:
        raise InputError(
            f"{path} takes {inputs[0].type} {inputs[0].shape}, not uint8 (B, C, H, W); export it with its "
            "resizing and scaling included"
        )
    block = inputs[0].shape[0]

    def run(images: Tensor) -> np.ndarray:
        return session.run(None, {inputs[0].name: images.numpy()})[0]

    dim = outputs[0].shape[-1] if outputs[0].shape else None
    return Detector(
        name=path.name,
        protocol=AS_THEY_ARE,
        dim=dim if isinstance(dim, int) else None,
        weights_sha256=hashlib.sha256(content).hexdigest(),
        device=torch.device("cpu"),
        block=block if isinstance(block, int) else BLOCK,
        network=_guarded(path.name, run),
        classifier=False,
        custom=True,
        versions={"onnxruntime": onnxruntime.__version__},
    )
