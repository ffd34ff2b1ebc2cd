"""A folder with one page that runs the generator in a browser, from disk or from any host of files."""

from __future__ import annotations

import base64
import gzip
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.errors import RunError
from counterfeit.exporting.runtime import VERSION, Runtime
from counterfeit.pages import environment

PARTS = Path(__file__).parent / "web"
SCRIPTS = ("noise.js", "generator.js", "page.js")


def check_folder(folder: Path) -> None:
    """RunError where there is something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} already exists: pass a new folder as --out")


def write_page(
    folder: Path,
    model: bytes,
    runtime: Runtime,
    about: Mapping[str, Any],
    facts: Mapping[str, str],
    latents: np.ndarray,
) -> None:
    """Write the page; the folder appears when it is complete.

    Args:
        model: ONNX.
        about: what the scripts have to know, see `exported._about`.
        facts: what the page says of itself, by name.
        latents: float32 (N, *latent_shape), for a model whose draws the page cannot repeat. Raises OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        whole = Path(beside) / folder.name
        whole.mkdir()
        for name, content in _files(model, runtime, about, facts, latents).items():
            (whole / name).write_text(content, encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()  # empty; Windows renames to none that is there
        os.replace(whole, folder)


def _files(
    model: bytes, runtime: Runtime, about: Mapping[str, Any], facts: Mapping[str, str], latents: np.ndarray
) -> dict[str, str]:
    page = (
        environment(PARTS)
        .get_template("index.html")
        .render(
            title=f"{facts['model']} on {facts['data']}",
            summary=f"A generator of {about['shape'][2]}x{about['shape'][1]} images that was trained with counterfeit.",
            about=about,
            facts=facts,
            proof=facts["checked"],
            runtime=VERSION,
        )
    )
    parts = {"wasm": _packed(runtime.wasm), "loader": _packed(runtime.loader)}
    kept = latents.astype("<f4").tobytes() if about["latents"] == "own" else b""
    return {
        "index.html": page,
        "runtime.js": f"{runtime.script.decode()}\nconst RUNTIME = {json.dumps(parts)};\n",
        "model.js": f'const MODEL = "{_packed(model)}";\nconst LATENTS = "{base64.b64encode(kept).decode()}";\n',
        "page.js": "\n".join(f"{(PARTS / name).read_text(encoding='utf-8')}" for name in SCRIPTS),
    }


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
