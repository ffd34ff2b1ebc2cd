"""Checkpoints that a kill at any moment cannot hurt.

A checkpoint is a few safetensors files, one a group of tensors, and `checkpoint.json`, which names them with their
SHA-256. The tensors are written first, under names that carry the step; the rename of `checkpoint.json` is the moment
at which the new checkpoint replaces the old one; only then are the old files removed.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypedDict

import msgspec
import safetensors
import safetensors.torch
import torch
from msgspec import Meta
from torch import Tensor

from counterfeit.errors import NonFiniteError, RunError
from counterfeit.system import reading
from counterfeit.system.arguments import shown
from counterfeit.system.files import part_of, write_atomic, write_json
from counterfeit.system.reading import Malformed

INDEX = "checkpoint.json"
TENSORS = re.compile(r"[a-z]+-[0-9]{7,}\.safetensors")  # the names that `save_checkpoint` gives
GROUPS = ("model", "training", "ema")
MOST_INDEX = 1 << 20  # bytes of checkpoint.json
MOST_TENSORS = 8 << 30  # bytes of a file of tensors, of which nothing else is known
HEADER = 1 << 20  # bytes of such a file besides its tensors: their names, and random states, of which a CPU's has 5,056
START_OVER = "restore the folder from a backup, or train again with another --out"


Count = Annotated[int, Meta(ge=0, le=reading.COUNT)]
# By name the dtype and shape of the tensors of a group; the shape of bytes, which only their writer can read, is None.
Form = tuple[torch.dtype, tuple[int, ...] | None]
Forms = Mapping[str, Form]


class Entry(TypedDict):
    """What checkpoint.json says of a group's file."""

    file: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Checkpoint:
    """What checkpoint.json says.

    Attributes:
        step: steps done.
        epoch: full epochs done.
        files: group -> {"file": name in this folder, "sha256": hex}.
    """

    step: Count
    epoch: Count
    files: dict[str, dict[str, str]] = field(default_factory=dict)


def save_checkpoint(folder: Path, groups: dict[str, dict[str, Tensor]], step: int, epoch: int) -> None:
    """Replace the checkpoint in `folder` by this one.

    Raises:
        NonFiniteError: a tensor holds NaN or infinity; the last good checkpoint stays.
        OSError: the files cannot be written; the last good checkpoint stays.
    """
    for tensors in groups.values():
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise NonFiniteError(f"the weights of {name} are not finite after step {step}")
    folder.mkdir(exist_ok=True)
    files = {}
    for group, tensors in groups.items():
        content = safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
        file = folder / file_name(group, step)
        write_atomic(file, content)
        files[group] = {"file": file.name, "sha256": hashlib.sha256(content).hexdigest()}
    write_json(folder / INDEX, msgspec.to_builtins(Checkpoint(step, epoch, files)))
    _remove_others(folder, {entry["file"] for entry in files.values()})


def read_index(folder: Path) -> Checkpoint | None:
    """checkpoint.json, or None where no checkpoint has been completed; RunError when it is damaged."""
    path = folder / INDEX
    try:
        index = reading.record(reading.content(path, MOST_INDEX), Checkpoint)
        _check_files(index)
        return index
    except FileNotFoundError:
        return None
    except (Malformed, OSError) as error:
        raise RunError(f"{path} cannot be read ({reading.reason(error)}): {START_OVER}") from None


def file_name(group: str, step: int) -> str:
    """Of the file of a group of tensors. It names the step, and nothing outside of the folder."""
    return f"{group}-{step:07d}.safetensors"


def _check_files(index: Checkpoint) -> None:
    """Malformed where checkpoint.json names other files than `save_checkpoint` writes at its step."""
    if "model" not in index.files:
        raise Malformed("it names no file for the group 'model'")
    for group, entry in index.files.items():
        if group not in GROUPS:
            raise Malformed(f"it names a group {shown(group)}, and there are only {', '.join(GROUPS)}")
        file = reading.converted(entry, Entry)["file"]
        if file != file_name(group, index.step):
            raise Malformed(
                f"the file of {group} is {shown(file)}, and of step {index.step:,} it must be "
                f"{file_name(group, index.step)!r}"
            )


def load_checkpoint(folder: Path, groups: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """The named groups of tensors, those that the checkpoint has, on the CPU. Raises RunError as `read_checkpoint`."""
    return read_checkpoint(folder, groups)[1]


def forms(tensors: Mapping[str, Tensor]) -> Forms:
    """The form that tensors must have to take the place of these."""
    return {
        name: (tensor.dtype, None if tensor.dtype == torch.uint8 else tuple(tensor.shape))
        for name, tensor in tensors.items()
    }


def read_checkpoint(
    folder: Path, groups: Iterable[str], expected: Mapping[str, Forms] | None = None
) -> tuple[Checkpoint, dict[str, dict[str, Tensor]]]:
    """What checkpoint.json says, and the named groups of tensors that it has, on the CPU: of one and the same moment.

    A process that trains into the folder may replace the checkpoint between the two; then the new one is read.

    Args:
        expected: by group the tensors that it must hold, no others, all finite; a file that is larger is not read.

    Raises:
        RunError: no checkpoint yet, or a file of it is missing, cut, changed, or holds other tensors than expected.
    """
    wanted = tuple(groups)
    index = _present(folder)
    while True:
        try:
            return index, _tensors(folder, index, wanted, expected or {})
        except RunError:
            now = _present(folder)
            if now == index:
                raise
            index = now


def _present(folder: Path) -> Checkpoint:
    """checkpoint.json. Raises RunError where there is none."""
    index = read_index(folder)
    if index is None:
        raise RunError(
            f"{folder} has no checkpoint yet, since the run was stopped before the first one: train it with --resume"
        )
    return index


def _tensors(
    folder: Path, index: Checkpoint, groups: Iterable[str], expected: Mapping[str, Forms]
) -> dict[str, dict[str, Tensor]]:
    """The groups of tensors that an index names. Raises RunError where a file is missing or is not as it says."""
    found = {group: index.files[group] for group in groups if group in index.files}
    return {
        group: _read_group(folder / entry["file"], entry["sha256"], expected.get(group))
        for group, entry in found.items()
    }


def _read_group(path: Path, sha256: str, expected: Forms | None) -> dict[str, Tensor]:
    """The tensors in a file. Raises RunError where it is missing, or not as it must be."""
    most = MOST_TENSORS if expected is None else HEADER + sum(_bytes(form) for form in expected.values())
    try:
        content = reading.content(path, most)
    except OSError as error:
        raise RunError(f"{path} cannot be read ({reading.reason(error)}): {START_OVER}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(
            f"{path} is damaged: its {len(content):,} bytes do not match the SHA-256 in {INDEX}: {START_OVER}"
        )
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError, RuntimeError, OverflowError) as error:
        told = " ".join(str(error).split())[:160]
        raise RunError(f"{path} is not a safetensors file ({told}): {START_OVER}") from None
    fault = None if expected is None else misfit(tensors, expected)
    if fault is not None:
        raise RunError(f"the weights in {path} do not fit run.json: {fault}: {START_OVER}")
    return tensors


def misfit(tensors: Mapping[str, Tensor], expected: Forms) -> str | None:
    """The first difference of tensors from what is expected, in a few words; None where there is none."""
    for name in (*expected.keys() - tensors.keys(), *tensors.keys() - expected.keys()):
        return f"{shown(name)} is {'missing' if name in expected else 'one too many'}"
    for name, (dtype, shape) in expected.items():
        tensor = tensors[name]
        if tensor.dtype != dtype:
            return f"{name} is {tensor.dtype}, not {dtype}"
        if shape is not None and tuple(tensor.shape) != shape:
            return f"{name} is {tuple(tensor.shape)}, not {shape}"
        if not torch.isfinite(tensor).all():
            return f"{name} holds NaN or infinity"
    return None


def _bytes(form: Form) -> int:
    dtype, shape = form
    return 0 if shape is None else math.prod(shape) * dtype.itemsize


def _remove_others(folder: Path, keep: set[str]) -> None:
    """Remove older tensors, and what killed processes have left of such files: nothing that we have not written.

    Not in a folder that is a link to another place: that may be somebody else's.
    """
    if folder.is_symlink():
        return
    for entry in os.scandir(folder):
        name = part_of(entry.name) or entry.name
        ours = TENSORS.fullmatch(name) or (name == INDEX and entry.name != INDEX)
        if ours and entry.name not in keep and entry.is_file(follow_symlinks=False):
            with suppress(OSError):  # Windows: somebody reads it; it goes with the next checkpoint
                os.unlink(entry)
