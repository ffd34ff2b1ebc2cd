"""Samplers that were fitted to a run, in its folder `samplers`: a safetensors file each, named by what it is of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from counterfeit import sampling
from counterfeit.data import ImageSet
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.models.spec import Fitted
from counterfeit.runs import source
from counterfeit.runs.checkpoint import HEADER, misfit
from counterfeit.runs.data import to_encode
from counterfeit.runs.trained import Trained
from counterfeit.samplers import Kind, Sampler, kind
from counterfeit.system import reading
from counterfeit.system.console import say
from counterfeit.system.files import write_atomic
from counterfeit.system.text import reason

MOST = 60_000  # images whose codes are fitted to
PART = 50 * sampling.BLOCK  # of these, encoded together
CODE = (
    "samplers",
    "runs/data.py",
    "runs/samplers.py",
    "sampling.py",
)  # what decides a sampler, given weights and images


def kept(trained: Trained, asked: Fitted, name: str, images: Callable[[], ImageSet], anew: bool = False) -> Sampler:
    """The sampler for a run's weights, from its folder if it is there, else fitted and stored where it can be.

    A file that is no such sampler is named and made anew.

    Args:
        asked: of which kind.
        name: the run, for messages.
        images: reads the images that the run was trained on.
        anew: fit in any case.
    """
    folder, model = trained.folder.samplers, trained.model
    if not (isinstance(model, HasLatents) and isinstance(model, Encodes) and len(model.latent_shape) == 1):
        raise InputError(f"{name} has no sampler to be fitted: its model has no encoder to latents that are vectors")
    wanted = kind(*asked)
    path = folder / f"{wanted.name}-{trained.sha256[:16]}.safetensors"
    try:
        if not anew:
            return _read(path, wanted, *model.latent_shape)
    except FileNotFoundError:
        pass
    except (OSError, InputError) as error:
        say(f"{path} cannot be used ({error}): fitting it anew")
    found = _fit(trained, wanted, name, images())
    try:
        folder.mkdir(exist_ok=True)
        write_atomic(path, safetensors.torch.save(found.arrays(), _about(found)))
    except OSError as error:
        say(f"the fitted sampler is not kept: {path} cannot be written ({reason(error)})")
    return found


def _fit(trained: Trained, wanted: Kind, name: str, images: ImageSet) -> Sampler:
    model = trained.model
    assert isinstance(model, Encodes)
    rows, pixels = to_encode(images, trained.record.config, MOST)
    say(f"{name}: fitting {wanted.what} to the codes of {len(rows):,} training images")
    labels = images.labels[rows] if model.classes and images.labels is not None else None
    parts = [slice(start, start + PART) for start in range(0, len(rows), PART)]
    codes = [
        sampling.codes(model, take(pixels, rows[part]), None if labels is None else labels[part], seed)
        for seed, part in enumerate(parts)
    ]
    return wanted.fit(np.concatenate(codes).astype(np.float64))


def digest(sampler: Sampler) -> str:
    """SHA-256 (hex) of its arrays."""
    return hashlib.sha256(safetensors.torch.save(sampler.arrays())).hexdigest()


def _read(path: Path, wanted: Kind, latent: int) -> Sampler:
    forms = wanted.forms(latent)
    size = sum(torch.Size(shape).numel() * dtype.itemsize for dtype, shape in forms.values())
    content = reading.content(path, HEADER + size)
    try:
        arrays = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        about = json.loads(content[8 : 8 + length]).get("__metadata__")
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError, RuntimeError, OverflowError) as error:
        raise InputError(" ".join(str(error).split())[:160]) from None
    fault = misfit(arrays, forms)
    if fault is not None:
        raise InputError(fault)
    found = wanted.read(arrays)
    if about != _about(found):
        raise InputError("it is not what was fitted, or by other code")
    return found


def _about(sampler: Sampler) -> dict[str, str]:
    """What stands beside the arrays in a file."""
    return {"sha256": digest(sampler), "code": source.digest(*CODE)}
