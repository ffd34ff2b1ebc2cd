"""Checkpoints that survive a kill at any moment.

A checkpoint consists of a few safetensors files, one per group of tensors, and `checkpoint.json`, which names them with
their SHA-256. The tensors are written first, under names that contain the step. The rename of `checkpoint.json` is the
moment when the new checkpoint replaces the old one; the old files are removed only after that.

With `--keep best` the index names one more file, the weights of the best epoch so far: see `Best`.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
TENSORS = re.compile(r"[a-z]+-[0-9]{7,}\.safetensors")  # names given by `save_checkpoint`
GROUPS = ("model", "training", "ema")
BEST = "best"  # the group that a file of the best epoch's weights is named after
MOST_INDEX = 1 << 20  # bytes of checkpoint.json
MOST_TENSORS = 8 << 30  # bytes of a file of tensors if its content is not known
HEADER = 1 << 20  # bytes of such a file besides its tensors: their names, and random states, such as a CPU's with 5,056
START_OVER = "restore the folder from a backup, or train again with another --out"


Count = Annotated[int, Meta(ge=0, le=reading.COUNT)]
# By name, the dtype and shape of a group's tensors. The shape is None for bytes, which only their writer can interpret.
Form = tuple[torch.dtype, tuple[int, ...] | None]
Forms = Mapping[str, Form]


class Entry(TypedDict):
    """The entry of a group's file in checkpoint.json."""

    file: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Best:
    """The epoch whose samples had the lowest score of all that were scored, and its weights, which are kept.

    Attributes:
        epoch, step: when it was.
        score: name of the score, with its detector; lower is better.
        value: of that score.
        n: number of samples that were scored.
        split: of the real images that they were compared with.
        file: name in the folder, of the weights that samples are drawn with: the moving average where there is one.
        sha256: of that file, hex.
    """

    epoch: Count
    step: Count
    score: str
    value: float
    n: Count
    split: str
    file: str = ""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] = "0" * 64


@dataclass(frozen=True)
class Checkpoint:
    """The content of checkpoint.json.

    Attributes:
        step: number of steps done.
        epoch: number of full epochs done.
        files: group -> {"file": name in this folder, "sha256": hex}.
        best: the best epoch, with `--keep best`, once one was scored.
    """

    step: Count
    epoch: Count
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    best: Best | None = None

    @property
    def weights_only(self) -> bool:
        """Whether it has only what images are drawn with, maybe in float16: such a run cannot be continued."""
        return "training" not in self.files


def save_checkpoint(
    folder: Path, groups: dict[str, dict[str, Tensor]], step: int, epoch: int, best: Best | None = None
) -> None:
    """Replace the checkpoint in `folder` with this one.

    Args:
        folder: the folder of the checkpoint; created if missing.
        groups: group -> tensors by name.
        step: number of steps done.
        epoch: number of full epochs done.
        best: the best epoch, whose file `save_best` has written.

    Raises:
        NonFiniteError: a tensor contains NaN or infinity; the last good checkpoint stays.
        OSError: the files cannot be written; the last good checkpoint stays.
    """
    for tensors in groups.values():
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise NonFiniteError(f"the weights of {name} are not finite after step {step}")
    folder.mkdir(exist_ok=True)
    files = {group: _write(folder, group, tensors, step) for group, tensors in groups.items()}
    index = msgspec.to_builtins(Checkpoint(step, epoch, files, best))
    if best is None:
        del index["best"]
    write_json(folder / INDEX, index)
    _remove_others(folder, {entry["file"] for entry in files.values()} | ({best.file} if best else set()))


def save_best(folder: Path, tensors: dict[str, Tensor], best: Best) -> Best:
    """Write the weights of the best epoch beside those that are there, and return it with its file.

    The checkpoint that is saved next makes it the one that counts; until then that of an earlier epoch does.

    Raises OSError: the file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    entry = _write(folder, BEST, tensors, best.step)
    return replace(best, file=entry["file"], sha256=entry["sha256"])


def _write(folder: Path, group: str, tensors: Mapping[str, Tensor], step: int) -> dict[str, str]:
    """Write a file of tensors and return its entry."""
    content = safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    file = folder / file_name(group, step)
    write_atomic(file, content)
    return {"file": file.name, "sha256": hashlib.sha256(content).hexdigest()}


def read_index(folder: Path) -> Checkpoint | None:
    """The content of checkpoint.json, or None if no checkpoint was completed. Raises RunError if it is damaged."""
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
    """The name of a group's file. It contains the step, and refers to nothing outside the folder."""
    return f"{group}-{step:07d}.safetensors"


def _check_files(index: Checkpoint) -> None:
    """Raise Malformed if checkpoint.json names files other than those that `save_checkpoint` writes at its step."""
    if "model" not in index.files and not (index.weights_only and "ema" in index.files):
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
    best = index.best
    if best is not None and not (best.file == file_name(BEST, best.step) and best.step <= index.step):
        raise Malformed(f"the file of its best epoch is {shown(best.file)}, of step {best.step:,} of {index.step:,}")


def load_checkpoint(folder: Path, groups: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """The named groups of tensors, if the checkpoint has them, on the CPU. Raises RunError as `read_checkpoint`."""
    return read_checkpoint(folder, groups)[1]


def forms(tensors: Mapping[str, Tensor]) -> Forms:
    """The dtypes and shapes that tensors must have to replace these."""
    return {
        name: (tensor.dtype, None if tensor.dtype == torch.uint8 else tuple(tensor.shape))
        for name, tensor in tensors.items()
    }


def read_checkpoint(
    folder: Path, groups: Iterable[str], expected: Mapping[str, Forms] | None = None
) -> tuple[Checkpoint, dict[str, dict[str, Tensor]]]:
    """The content of checkpoint.json and the named groups of tensors that it has, on the CPU, from the same moment.

    A process that trains in the folder may replace the checkpoint between the two reads; then the new one is read.

    Args:
        folder: the folder of the checkpoint.
        groups: names of groups; those that the checkpoint lacks are left out.
        expected: by group, the tensors that it must contain, no others, all finite; a larger file is not read.

    Raises:
        RunError: no checkpoint yet, or a file is missing, truncated, changed, or contains unexpected tensors.
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
    """The content of checkpoint.json. Raises RunError if there is none."""
    index = read_index(folder)
    if index is None:
        raise RunError(
            f"{folder} has no checkpoint yet, since the run was stopped before the first one: train it with --resume"
        )
    return index


def _tensors(
    folder: Path, index: Checkpoint, groups: Iterable[str], expected: Mapping[str, Forms]
) -> dict[str, dict[str, Tensor]]:
    """The groups of tensors named by an index. Raises RunError if a file is missing or does not match the index."""
    entries = index.files | ({} if index.best is None else {BEST: msgspec.to_builtins(index.best)})
    found = {group: entries[group] for group in groups if group in entries}
    return {
        group: _read_group(folder / entry["file"], entry["sha256"], expected.get(group), index.weights_only)
        for group, entry in found.items()
    }


def _read_group(path: Path, sha256: str, expected: Forms | None, halved: bool) -> dict[str, Tensor]:
    """The tensors in a file; if they may be `halved`, those of float16 as float32.

    Raises RunError if it is missing, damaged, or not as expected.
    """
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
        reason = " ".join(str(error).split())[:160]
        raise RunError(f"{path} is not a safetensors file ({reason}): {START_OVER}") from None
    if halved:
        tensors = {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}
    fault = None if expected is None else misfit(tensors, expected)
    if fault is not None:
        raise RunError(f"the weights in {path} do not fit run.json: {fault}: {START_OVER}")
    return tensors


def misfit(tensors: Mapping[str, Tensor], expected: Forms) -> str | None:
    """The first difference between tensors and what is expected, in a few words; None if there is none."""
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
    """Remove older tensor files, and temporary files that killed processes have left; nothing that we did not write.

    Does nothing in a folder that is a link: its target may belong to someone else.
    """
    if folder.is_symlink():
        return
    for entry in os.scandir(folder):
        name = part_of(entry.name) or entry.name
        ours = TENSORS.fullmatch(name) or (name == INDEX and entry.name != INDEX)
        if ours and entry.name not in keep and entry.is_file(follow_symlinks=False):
            with suppress(OSError):  # Windows: someone is reading it; removed with the next checkpoint
                os.unlink(entry)
