"""Find or download the Inception weights, and verify them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from counterfeit.data.cache import cache_dir, locked
from counterfeit.data.download import download
from counterfeit.data.sources import allowed_kinds
from counterfeit.errors import DataError, InputError
from counterfeit.system import paths, reading
from counterfeit.system.console import say

FILE = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# The same 91 MiB file under two names: the releases of pytorch-fid and torch-fidelity.
URLS = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
)
VARIABLE = "COUNTERFEIT_INCEPTION"
MOST = 1 << 30  # bytes of a weights file: ten times the standard one


@dataclass(frozen=True)
class Weights:
    """The content of a weights file, and its SHA-256 (hex); `standard` if it is the file that all tools use."""

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]

    @property
    def standard(self) -> bool:
        return self.sha256 == SHA256


def cached() -> Path:
    """Path of the weights in the cache."""
    return cache_dir() / "inception" / FILE


def at_hand(path: str | os.PathLike[str] | None) -> bool:
    """Whether the Inception weights are available without a download: named by the user, or in the cache."""
    return bool(path or os.environ.get(VARIABLE)) or cached().exists()


def how_to_get() -> str:
    """The end of an error message: how the user can get the weights."""
    return (
        f"pass --weights PATH or set {VARIABLE} to a copy of {FILE} (91 MiB, SHA-256 {SHA256[:8]}…; pytorch-fid and "
        f"torch-fidelity keep one in ~/.cache/torch/hub/checkpoints), or copy it to {cached()}"
    )


def inception_weights(path: str | os.PathLike[str] | None, any_weights: bool) -> Weights:
    """Load the weights from `path`, otherwise COUNTERFEIT_INCEPTION, otherwise the cache, downloading if needed.

    The SHA-256 is checked every time, before anything in the file is read as weights.

    Args:
        any_weights: accept a file with another SHA-256, from `path` or COUNTERFEIT_INCEPTION.

    Raises:
        InputError: the file does not exist, is not the expected one, or holds no weights.
        DataError: the weights cannot be downloaded.
    """
    named = path or os.environ.get(VARIABLE)
    if any_weights and not named:
        raise InputError(f"--any-weights needs --weights PATH or {VARIABLE}")
    if not named:
        return _parse(_from_cache(), cached())
    file = Path(paths.typed(named))
    origin = "--weights" if path else VARIABLE
    try:
        content = reading.content(file, MOST)
    except OSError as error:
        raise InputError(f"{origin} {file} cannot be read ({reading.reason(error)})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256 and not any_weights:
        raise InputError(
            f"{origin} {file} is damaged or another file ({len(content):,} bytes, SHA-256 {found}, expected {SHA256}); "
            "its scores would not be FID, KID or IS: pass --any-weights to use it anyway"
        )
    return _parse(content, file)


def _from_cache() -> bytes:
    """Read the verified file from the cache; download it first if it is missing or damaged."""
    path = cached()
    content = _read_verified(path)
    if content is not None:
        return content
    with locked(path.parent / ".lock", "the Inception weights") as folder:
        path = folder / path.name
        content = _read_verified(path)  # another process may have downloaded it in the meantime
        if content is None:
            if path.exists():
                say(f"{path} is damaged; downloading it again")
            _fetch(path)
            content = reading.content(path, MOST)
    return content


def _read_verified(path: Path) -> bytes | None:
    try:
        content = reading.content(path, MOST)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == SHA256 else None


def _fetch(path: Path) -> None:
    """Download to `path` from the first URL that works. Raises DataError with all reasons if none does."""
    if "https" not in allowed_kinds():
        raise DataError(
            f"the Inception weights are not in the cache, and COUNTERFEIT_SOURCES does not allow https: {how_to_get()}"
        )
    reasons = []
    for url in URLS:
        try:
            return download(url, path, sha256=SHA256)
        except DataError as error:
            reasons.append(str(error))
            say(f"inception: {error}")
    raise DataError(f"the Inception weights cannot be downloaded ({'; '.join(dict.fromkeys(reasons))}); {how_to_get()}")


def _parse(content: bytes, path: Path) -> Weights:
    """Read the tensors of a .pth file; `weights_only` allows nothing but tensors and plain containers in it."""
    try:
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch raise almost anything
        fault = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} does not contain PyTorch weights ({fault[0][:120]})") from None
    named = isinstance(tensors, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    )
    if not named:
        raise InputError(f"{path} holds a {type(tensors).__name__}, not a dictionary of tensors (a state_dict)")
    return Weights(path, hashlib.sha256(content).hexdigest(), tensors)


def fill(network: nn.Module, weights: Weights) -> None:
    """Load the weights into the network.

    Raises InputError with the name of the first tensor that is missing, unexpected, not finite, or of another shape or
    type. Batch norm's counters of training batches are optional, since older files do not have them.
    """
    wanted, given = (
        {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
        for tensors in (network.state_dict(), weights.tensors)
    )
    for name, tensor in wanted.items():
        if name not in given:
            raise InputError(f"{weights.path} has another architecture than inception: it has no {name}")
        found, expected = tuple(given[name].shape), tuple(tensor.shape)
        if found != expected:
            raise InputError(f"{weights.path} has another architecture: its {name} is {found}, expected {expected}")
        if given[name].dtype != tensor.dtype or given[name].layout != torch.strided:
            raise InputError(f"{weights.path}: its {name} is {_described(given[name])}, expected {tensor.dtype}")
        if not torch.isfinite(given[name]).all():
            raise InputError(f"{weights.path} is damaged: its {name} holds NaN or infinity")
    for name in given.keys() - wanted.keys():
        raise InputError(f"{weights.path} has another architecture than inception: it also has {name}")
    network.load_state_dict(given, strict=False)


def _described(tensor: Tensor) -> str:
    return str(tensor.dtype) if tensor.layout == torch.strided else f"{tensor.layout} {tensor.dtype}"
