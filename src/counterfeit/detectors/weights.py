"""Find or download the weights that a detector is defined by, and verify them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True)
class Standard:
    """The file of weights that a detector is defined by.

    Attributes:
        detector: name of the detector.
        file: name of the file, below the cache.
        sha256: SHA-256 of the file, hex.
        size: its size in words.
        urls: where it can be downloaded.
        parse: content and path -> the tensors by name; raises InputError.
        metrics: what the scores of other weights would not be.
        variable: environment variable that may name a copy; None if there is no such variable.
        elsewhere: where other tools keep it, for messages.
        most: bytes that are read of a file in its place.
    """

    detector: str
    file: str
    sha256: str
    size: str
    urls: tuple[str, ...]
    parse: Callable[[bytes, Path], Mapping[str, Tensor]]
    metrics: str
    variable: str | None = None
    elsewhere: str = ""
    most: int = 1 << 30

    @property
    def cached(self) -> Path:
        """Its path in the cache."""
        return cache_dir() / self.file

    def named(self, path: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
        """The copy that the user names, by `path` or by the variable."""
        return path or (os.environ.get(self.variable) if self.variable else None)

    def at_hand(self, path: str | os.PathLike[str] | None) -> bool:
        """Whether the weights are available without a download: named by the user, or in the cache."""
        return bool(self.named(path)) or self.cached.exists()

    @property
    def how_to_name(self) -> str:
        """The options that name a copy."""
        return "--weights PATH" + (f" or set {self.variable}" if self.variable else "")

    def how_to_get(self) -> str:
        """The end of an error message: how the user can get the weights."""
        facts = f"{self.size}, SHA-256 {self.sha256[:8]}…{self.elsewhere}"
        return f"pass {self.how_to_name} to a copy of {Path(self.file).name} ({facts}), or copy it to {self.cached}"


@dataclass(frozen=True)
class Weights:
    """The tensors of a weights file, and its SHA-256 (hex); `standard` if it is the file that all tools use."""

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    standard: bool = False


def weights(standard: Standard, path: str | os.PathLike[str] | None, any_weights: bool) -> Weights:
    """Load the weights from `path`, otherwise the variable, otherwise the cache, downloading if needed.

    The SHA-256 is checked every time, before anything in the file is read as weights.

    Args:
        any_weights: accept a file with another SHA-256, from `path` or the variable.

    Raises:
        InputError: the file does not exist, is not the expected one, or holds no weights.
        DataError: the weights cannot be downloaded.
    """
    named = standard.named(path)
    if any_weights and not named:
        raise InputError(f"--any-weights needs {standard.how_to_name}")
    if not named:
        return _parsed(standard, _from_cache(standard), standard.cached)
    file = Path(paths.typed(named))
    origin = "--weights" if path else standard.variable
    try:
        content = reading.content(file, standard.most)
    except OSError as error:
        raise InputError(f"{origin} {file} cannot be read ({reading.reason(error)})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != standard.sha256 and not any_weights:
        raise InputError(
            f"{origin} {file} is damaged or another file ({len(content):,} bytes, SHA-256 {found}, expected "
            f"{standard.sha256}); its scores would not be {standard.metrics}: pass --any-weights to use it anyway"
        )
    return _parsed(standard, content, file)


def _parsed(standard: Standard, content: bytes, path: Path) -> Weights:
    found = hashlib.sha256(content).hexdigest()
    return Weights(path, found, standard.parse(content, path), found == standard.sha256)


def _from_cache(standard: Standard) -> bytes:
    """Read the verified file from the cache; download it first if it is missing or damaged."""
    path = standard.cached
    content = _read_verified(standard, path)
    if content is not None:
        return content
    with locked(path.parent / ".lock", f"the weights of {standard.detector}") as folder:
        path = folder / path.name
        content = _read_verified(standard, path)  # another process may have downloaded it in the meantime
        if content is None:
            if path.exists():
                say(f"{path} is damaged; downloading it again")
            _fetch(standard, path)
            content = reading.content(path, standard.most)
    return content


def _read_verified(standard: Standard, path: Path) -> bytes | None:
    try:
        content = reading.content(path, standard.most)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == standard.sha256 else None


def _fetch(standard: Standard, path: Path) -> None:
    """Download to `path` from the first URL that works. Raises DataError with all reasons if none does."""
    what = f"the weights of {standard.detector}"
    if "https" not in allowed_kinds():
        raise DataError(
            f"{what} are not in the cache, and COUNTERFEIT_SOURCES does not allow https: {standard.how_to_get()}"
        )
    reasons = []
    for url in standard.urls:
        try:
            return download(url, path, sha256=standard.sha256)
        except DataError as error:
            reasons.append(str(error))
            say(f"{standard.detector}: {error}")
    raise DataError(f"{what} cannot be downloaded ({'; '.join(dict.fromkeys(reasons))}); {standard.how_to_get()}")


def fill(network: nn.Module, weights: Weights, detector: str) -> None:
    """Load the weights into the network of a detector.

    Raises InputError with the name of the first tensor that is missing, unexpected, not finite, or of another shape or
    type. Batch norm's counters of training batches are optional, since older files do not have them.
    """
    wanted, given = (
        {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
        for tensors in (network.state_dict(), weights.tensors)
    )
    for name, tensor in wanted.items():
        if name not in given:
            raise InputError(f"{weights.path} has another architecture than {detector}: it has no {name}")
        found, expected = tuple(given[name].shape), tuple(tensor.shape)
        if found != expected:
            raise InputError(f"{weights.path} has another architecture: its {name} is {found}, expected {expected}")
        if given[name].dtype != tensor.dtype or given[name].layout != torch.strided:
            raise InputError(f"{weights.path}: its {name} is {_described(given[name])}, expected {tensor.dtype}")
        if not torch.isfinite(given[name]).all():
            raise InputError(f"{weights.path} is damaged: its {name} holds NaN or infinity")
    for name in given.keys() - wanted.keys():
        raise InputError(f"{weights.path} has another architecture than {detector}: it also has {name}")
    network.load_state_dict(given, strict=False)


def _described(tensor: Tensor) -> str:
    return str(tensor.dtype) if tensor.layout == torch.strided else f"{tensor.layout} {tensor.dtype}"
