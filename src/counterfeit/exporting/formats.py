"""The generator's graph as bytes of a file, and such bytes as a function that makes images."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from counterfeit.errors import InputError
from counterfeit.exporting.generator import quiet
from counterfeit.exporting.proof import Made

EXTRA = "counterfeit.json"  # a .pt2's file of facts


def check_packages(to: str) -> None:
    """InputError where a package is missing that the format needs; before minutes of work."""
    for package in () if to == "pt2" else ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise InputError(f"--to {to} needs {package}, which is missing: pip install 'counterfeit[export]'")


def onnx(program: torch.export.ExportedProgram, names: list[str]) -> bytes:
    """An ONNX model."""
    with quiet():
        made = torch.onnx.export(program, dynamo=True, input_names=names, output_names=["images"], verbose=False)
    assert made is not None
    return made.model_proto.SerializeToString()


def with_facts(model: bytes, facts: Mapping[str, str]) -> bytes:
    """The same ONNX model, with metadata."""
    import onnx as package

    proto = package.load_model_from_string(model)
    package.helper.set_model_props(proto, dict(facts))
    proto.producer_name, proto.producer_version = "counterfeit", facts["version"]
    return proto.SerializeToString()


def pt2(program: torch.export.ExportedProgram, facts: Mapping[str, str] | None = None) -> bytes:
    """PyTorch's file of an exported program, with `facts` as a file of JSON in it."""
    file = io.BytesIO()
    extra: dict[str, Any] = {EXTRA: json.dumps(dict(facts or {}), indent=2)}
    with quiet():
        torch.export.save(program, file, extra_files=extra)
    return file.getvalue()


def by_onnxruntime(model: bytes) -> Made:
    """Images by ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run(None, inputs)[0])


def by_torch(program: bytes) -> Made:
    """Images by PyTorch, of a .pt2 as it is read again."""
    with quiet():
        module = torch.export.load(io.BytesIO(program)).module()

    def made(inputs: dict[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return module(*map(torch.from_numpy, inputs.values())).numpy()

    return made
