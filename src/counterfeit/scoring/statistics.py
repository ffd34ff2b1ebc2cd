"""Reference statistics: mean and covariance of the features of real images, in a file that replaces the images.

pytorch-fid writes `mu` and `sigma`, guided-diffusion also `mu_s` and `sigma_s`. They are enough for FID and for nothing
else. Our own files also say which images, how many and which detector they are from.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.data import DATASETS
from counterfeit.data.npz import opened
from counterfeit.detectors import Detector
from counterfeit.errors import DataError, InputError
from counterfeit.metrics.frechet import Moments
from counterfeit.metrics.value import Floats
from counterfeit.settings import ScoreConfig
from counterfeit.system import paths, reading
from counterfeit.system.files import write_atomic
from counterfeit.version import __version__

MOST = 8192  # features: a covariance of more would take more than 512 MiB
MOST_BYTES = 2 << 30  # of a file: those of guided-diffusion hold two covariances
MOST_WORDS = 1 << 16  # bytes of each fact that a file states about itself
ROUNDING = 1e-6  # relative: float32 arithmetic leaves asymmetry and negative eigenvalues of this size
INCEPTION, INCEPTION_FEATURES = "inception", 2048  # assumed for a file that names no detector
WORDS = ("detector", "protocol", "weights_sha256", "digest", "source", "version")


@dataclass(frozen=True)
class Statistics:
    """The content of a file of statistics.

    Attributes:
        path: path of the file.
        sha256: SHA-256 of its content, hex.
        mean, covariance: float64 (D,) and (D, D), the covariance with denominator n - 1.
        n: number of images; None if the file does not say.
        shape: (C, H, W) of the images; None if the file does not say.
        words: other facts in the file: `detector` (its printed name), `protocol`, `weights_sha256`, `digest` of the
            images, `source` (their name and split) and the `version` that wrote it.
    """

    path: Path
    sha256: str
    mean: Floats
    covariance: Floats
    n: int | None
    shape: tuple[int, int, int] | None
    words: Mapping[str, str]

    def moments(self) -> Moments:
        return Moments.given(self.mean, self.covariance, self.n)

    def to_dict(self) -> dict[str, Any]:
        """This as a part of the receipt; `digest` is that of the file, `images_digest` that of the images."""
        carried = {name: text for name, text in self.words.items() if name != "digest"}
        return {
            **{"name": str(self.path), "split": "statistics", "n": self.n, "digest": self.sha256},
            **{"images_digest": self.words.get("digest"), "shape": self.shape and list(self.shape), **carried},
        }

    def choice(self, config: ScoreConfig) -> tuple[Any, ScoreConfig]:
        """The detector to load, and the settings to load it with. Raises InputError if the file names none."""
        named, wanted = self.words.get("detector"), config.detector
        if named is None and len(self.mean) != INCEPTION_FEATURES:
            raise InputError(
                f"{self.path} holds statistics of {len(self.mean)} features and does not name their detector; "
                "create such a file with counterfeit stats"
            )
        if not (isinstance(wanted, str) and wanted == "auto"):
            return wanted, config
        base = (named or INCEPTION).partition("@")[0].partition(":")[0]
        if base == INCEPTION and config.inception.protocol is None:
            config = replace(config, inception=replace(config.inception, protocol=self.words.get("protocol")))
        return base, config

    def check(self, detector: Detector) -> None:
        """Raise InputError if features of this detector cannot be compared with these statistics."""
        known = {"protocol": detector.protocol, "weights_sha256": detector.weights_sha256}
        for name, value in known.items():
            if name in self.words and self.words[name] != value:
                raise InputError(
                    f"{self.path} holds statistics of the detector {self.words.get('detector', '')}, whose {name} is "
                    f"{self.words[name]!r}, and {detector.name} has {value!r}: no --detector, or the same, goes with it"
                )
        if "detector" not in self.words and not detector.name.startswith(INCEPTION):
            raise InputError(
                f"{self.path} does not say which detector its statistics are of, which is Inception then, and the "
                f"detector asked for is {detector.name}: leave out --detector"
            )


def is_statistics(source: Any) -> bool:
    """Whether this is the path of an .npz file with `mu` and `sigma` and without images."""
    if not isinstance(source, (str, os.PathLike)) or str(source) in DATASETS:
        return False
    path = Path(paths.typed(source))
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as file:
            names = set(file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False  # reading it as images reports what is wrong with it
    return {"mu.npy", "sigma.npy"} <= names and "images.npy" not in names


def read(source: str | os.PathLike[str]) -> Statistics:
    """Read and check a file of statistics. Raises DataError with the name of the file and the fault."""
    path = Path(paths.typed(source))
    with opened(path) as arrays:
        for name in ("mu", "sigma"):
            if arrays.header(name).nbytes > 8 * MOST**2:
                raise DataError(f"{path}: its {name} is of more than {MOST:,} features, which is not allowed")
        for name in (*WORDS, "n", "shape"):
            if name in arrays and arrays.header(name).nbytes > MOST_WORDS:
                raise DataError(f"{path}: its {name} has more than {MOST_WORDS:,} bytes, which is not allowed")
        mu, sigma = arrays["mu"], arrays["sigma"]
        carried = {name: arrays[name] for name in (*WORDS, "n", "shape") if name in arrays}
    digest = hashlib.sha256(reading.content(path, MOST_BYTES)).hexdigest()
    mean, covariance = checked(mu, sigma, str(path))
    words = {name: _word(carried[name], name, path) for name in WORDS if name in carried}
    numbers = {name: _whole(carried[name], name, path) for name in ("n", "shape") if name in carried}
    n, shape = numbers.get("n"), numbers.get("shape")
    if (n is not None and (len(n) != 1 or n[0] < 2)) or (shape is not None and (len(shape) != 3 or min(shape) < 1)):
        raise DataError(f"{path}: its n is {n} and its shape {shape}; n is 2 images or more, and shape (C, H, W)")
    of = None if shape is None else (shape[0], shape[1], shape[2])
    count = None if n is None else n[0]
    return Statistics(path, digest, mean, covariance, count, of, words)


def checked(mu: np.ndarray, sigma: np.ndarray, where: str) -> tuple[Floats, Floats]:
    """Mean (D,) and covariance (D, D) as float64, exactly symmetric. Raises DataError if they are invalid."""
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)) or len(mu) == 0:
        raise DataError(f"{where}: mu has the shape {mu.shape} and sigma {sigma.shape}; they must be (D,) and (D, D)")
    if mu.dtype.kind not in "fiu" or sigma.dtype.kind not in "fiu":
        raise DataError(f"{where}: mu is {mu.dtype} and sigma {sigma.dtype}; they must be real numbers")
    mean, covariance = mu.astype(np.float64), sigma.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{where}: mu or sigma contains NaN or infinity")
    largest = float(np.abs(covariance).max())
    if np.abs(covariance - covariance.T).max() > ROUNDING * largest:
        raise DataError(f"{where}: sigma is not symmetric, so it is not a covariance")
    covariance = (covariance + covariance.T) / 2
    lowest = float(np.linalg.eigvalsh(covariance)[0])
    if lowest < -ROUNDING * largest:
        raise DataError(f"{where}: sigma has the eigenvalue {lowest:.4g}; a covariance has no negative ones")
    return mean, covariance


def write(path: Path, moments: Moments, detector: Detector, shape: tuple[int, int, int], about: dict[str, str]) -> None:
    """Write statistics atomically; `about` are `digest` and `source` of the images. Raises OSError."""
    words = {"detector": detector.name, "protocol": detector.protocol, "weights_sha256": detector.weights_sha256}
    said = {name: np.array(text) for name, text in {**words, **about, "version": __version__}.items()}
    numbers = {"n": np.array(moments.n), "shape": np.array(shape)}
    buffer = io.BytesIO()
    np.savez(buffer, mu=moments.mean, sigma=moments.covariance, **numbers, **said)  # type: ignore[arg-type]
    write_atomic(path, buffer.getbuffer())


def _word(array: np.ndarray, name: str, path: Path) -> str:
    if array.shape != () or array.dtype.kind != "U":
        raise DataError(f"{path}: its {name} is {array.dtype} {array.shape}, not one word")
    return str(array)


def _whole(array: np.ndarray, name: str, path: Path) -> list[int]:
    if array.ndim > 1 or array.dtype.kind not in "iu":
        raise DataError(f"{path}: its {name} is {array.dtype} {array.shape}, not whole numbers")
    return [int(value) for value in array.reshape(-1)]
