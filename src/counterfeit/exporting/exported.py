"""From a run to a file that makes its images without us."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from counterfeit.errors import RunError
from counterfeit.exporting import formats
from counterfeit.exporting.draws import OWN, draws
from counterfeit.exporting.generator import check_exportable, inputs, recorded
from counterfeit.exporting.page import check_folder, write_page
from counterfeit.exporting.proof import CHECKED, Cases, Proof, proved
from counterfeit.exporting.runtime import runtime
from counterfeit.generator import Generator
from counterfeit.system import paths
from counterfeit.system.console import say
from counterfeit.system.files import write_atomic
from counterfeit.version import __version__

ENDINGS = {"onnx": ".onnx", "pt2": ".pt2", "web": ""}
CASES = ".npz"  # of the file beside it


def export(run: Generator, to: str, out: str | Path | None) -> Path:
    """Write the generator; see `Run.export`."""
    check_exportable(run.model_name, run.model, run.options)
    path = _place(run, to, out)
    formats.check_packages(to)
    files = runtime() if to == "web" else None  # before minutes of work
    say(f"recording {run.model_name} as a graph")
    program = recorded(run.model, run.options)
    cases = _cases(run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if to == "pt2":
            proof = proved(formats.by_torch(formats.pt2(program)), cases, "the exported program")
            content = formats.pt2(program, _facts(run, proof))
        else:
            graph = formats.onnx(program, inputs(run.model))
            proof = proved(formats.by_onnxruntime(graph), cases, "the ONNX model")
            content = formats.with_facts(graph, _facts(run, proof))
        if files is None:
            _write_cases(path.with_suffix(CASES), cases)
            write_atomic(path, content)
        else:
            write_page(path, content, files, _about(run), _facts(run, proof), cases.inputs["latents"])
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror or error}): pass another --out") from None
    say(f"checked: {proof}")
    return path


def _place(run: Generator, to: str, out: str | Path | None) -> Path:
    """Where it is written. RunError for a name that is of something else."""
    ending = ENDINGS[to]
    path = Path(paths.typed(out or run.out / "exports" / ("web" if to == "web" else f"generator{ending}")))
    if to == "web":
        check_folder(path)
    elif path.suffix.lower() != ending or path.is_dir():
        raise RunError(
            f"{path} is {'a folder' if path.is_dir() else f'no {ending} file'}: pass --out generator{ending}"
        )
    elif os.path.lexists(beside := path.with_suffix(CASES)) and not _is_cases(beside):
        raise RunError(f"{beside} already exists and is not of an export, which writes one: pass another --out")
    return path


def _is_cases(path: Path) -> bool:
    """Whether an .npz is one that `_write_cases` wrote: data sets and samples have images, and no latents."""
    try:
        with zipfile.ZipFile(path) as file:
            return "latents.npy" in file.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _cases(run: Generator) -> Cases:
    labels = run.labels(CHECKED)
    given: dict[str, np.ndarray] = {"latents": run.noise(CHECKED)}
    return Cases(given if labels is None else {**given, "labels": labels}, run.sample(CHECKED))


def _write_cases(path: Path, cases: Cases) -> None:
    """The first images of seed 0, and what they are made of, beside the file: for users to try it with."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=cases.images, **cases.inputs)  # type: ignore[arg-type]  # as in api/sample.py
    write_atomic(path, buffer.getvalue())


def _drawn(run: Generator) -> str:
    return OWN if run.options.fitted else draws(run.model)  # type: ignore[arg-type]  # it has latents


def _facts(run: Generator, proof: Proof) -> dict[str, str]:
    """What the file says of itself: metadata of ONNX, `counterfeit.json` in a .pt2, a table of the page."""
    options = run.options.to_dict()
    return {
        "version": __version__,
        "torch": str(torch.__version__),
        "model": run.model_name,
        "data": Path(run.data.name).name,
        "weights_sha256": run.weights_sha256,
        "latents": _drawn(run),
        **({"classes": json.dumps(run.data.classes)} if run.model.classes else {}),
        **({"sampling": json.dumps(options)} if options else {}),
        "checked": str(proof),
        "levels_apart": str(proof.levels),
        "images_checked": str(CHECKED),
    }


def _about(run: Generator) -> dict[str, Any]:
    """What the page's scripts have to know."""
    return {
        "shape": run.data.shape,
        "latent_shape": tuple(run.model.latent_shape),  # type: ignore[arg-type]
        "latents": _drawn(run),
        "classes": run.data.classes if run.model.classes else (),
        "shipped": CHECKED,
    }
