"""Checkpoints that a kill at any moment cannot hurt.

A checkpoint is a few safetensors files, one a group of tensors, and `checkpoint.json`, which names them with their
SHA-256. The tensors are written first, under names that carry the step; the rename of `checkpoint.json` is the moment
at which the new checkpoint replaces the old one; only then are the old files removed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from counterfeit.errors import NonFiniteError, RunError
from counterfeit.files import part_of, write_atomic, write_json

INDEX = "checkpoint.json"
TENSORS = re.compile(r"[a-z]+-[0-9]{7,}\.safetensors")  # the names that `save_checkpoint` gives
START_OVER = "take a backup of the folder, or train again into another --out"


@dataclass(frozen=True)
class Checkpoint:
    """What checkpoint.json says.

    Attributes:
        step: steps done.
        epoch: full epochs done.
        files: group -> {"file": name in this folder, "sha256": hex}.
    """

    step: int
    epoch: int
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
        file = folder / f"{group}-{step:07d}.safetensors"
        write_atomic(file, content)
        files[group] = {"file": file.name, "sha256": hashlib.sha256(content).hexdigest()}
    write_json(folder / INDEX, msgspec.to_builtins(Checkpoint(step, epoch, files)))
    _remove_others(folder, {entry["file"] for entry in files.values()})


def read_index(folder: Path) -> Checkpoint | None:
    """checkpoint.json, or None where no checkpoint has been completed; RunError when it is damaged."""
    path = folder / INDEX
    try:
        return msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise RunError(f"{path} cannot be read ({error}): {START_OVER}") from None


def load_checkpoint(folder: Path, groups: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """The named groups of tensors, those that the checkpoint has, on the CPU. Raises RunError as `read_checkpoint`."""
    return read_checkpoint(folder, groups)[1]


def read_checkpoint(folder: Path, groups: Iterable[str]) -> tuple[Checkpoint, dict[str, dict[str, Tensor]]]:
    """What checkpoint.json says, and the named groups of tensors that it has, on the CPU: of one and the same moment.

    A process that trains into the folder may replace the checkpoint between the two; then the new one is read.

    Raises:
        RunError: no checkpoint yet, or a file of it is missing, cut or changed.
    """
    wanted = tuple(groups)
    index = _present(folder)
    while True:
        try:
            return index, _tensors(folder, index, wanted)
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
            f"{folder} holds no checkpoint yet: the run was stopped before its first; train it with --resume"
        )
    return index


def _tensors(folder: Path, index: Checkpoint, groups: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """The groups of tensors that an index names. Raises RunError where a file is missing or is not as it says."""
    loaded = {}
    for group in groups:
        if group not in index.files:
            continue
        path = folder / index.files[group]["file"]
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error.strerror}): {START_OVER}") from None
        if hashlib.sha256(content).hexdigest() != index.files[group]["sha256"]:
            raise RunError(
                f"{path} is damaged: its {len(content):,} bytes do not match the SHA-256 in {INDEX}: {START_OVER}"
            )
        try:
            loaded[group] = safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise RunError(f"{path} is no safetensors file ({error}): {START_OVER}") from None
    return loaded


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
