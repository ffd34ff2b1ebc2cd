"""The one shape of all detectors: uint8 images in, features and perhaps class probabilities out.

The arithmetic of a convolution or matrix product depends on how many rows it has. So images always go through a
detector in blocks of one fixed number of rows, a last block being filled up and cut: an image's features are then the
same bits whatever else is scored with it, and however the caller cuts the images into calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterfeit.errors import InputError
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone

# uint8 (B, C, H, W) on the detector's device -> features (B, D), and class probabilities (B, K) or None
Network = Callable[[Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Features:
    """What a detector found.

    Attributes:
        features: float32 (N, D), all finite; float64 where the detector computes in that.
        probabilities: of the classes, of either type, (N, K), rows sum to 1; None for a detector that is no classifier.
    """

    features: np.ndarray
    probabilities: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Detector:
    """A way from images to features, ready to be called.

    Attributes:
        name: printed in every metric's name, `FID[mnist-cnn]`; it says so when other weights than the standard ones
            or another protocol than the default are used.
        protocol: how images reach the size and range that the network wants, in a few words.
        dim: D, the number of features; None where only a call can tell (a callable of the user's).
        weights_sha256: of the file of weights, hex; None where there is no such file.
        device: where the network computes.
        block: rows that go through the network at once.
        network: the images of one block on the device -> their features and class probabilities.
        any_size: whether sets of different sizes may be compared by it, each brought to the network's size from its
            own, as the literature does; otherwise both have to be of one size.
        custom: whether it is the user's own, so that nobody knows whether it is made as a detector must be.
        versions: of libraries beside torch that compute it.
    """

    name: str
    protocol: str
    dim: int | None
    weights_sha256: str | None
    device: torch.device
    block: int
    network: Network
    any_size: bool = False
    custom: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)

    @checked
    @alone
    def __call__(self, images: np.ndarray, advance: Callable[[int], object] | None = None) -> Features:
        """Features of images.

        Args:
            images: uint8 (N, C, H, W), N >= 1, C = 1 (grey) or 3 (RGB), of any one size; may be a memory map.
            advance: is told the number of images done after each block, for a progress bar.

        Raises:
            InputError: other images than these, or the network returns something of a wrong shape or not finite.
        """
        check_images(images)
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), self.block):
                rows = images[start : start + self.block]
                found.append(self._block(rows))
                if advance:
                    advance(len(rows))
        widths = {features.shape[1] for features, _ in found}
        if len(widths) > 1:
            raise InputError(f"detector {self.name} returns {min(widths)} features per image, then {max(widths)}")
        chances = [p for _, p in found if p is not None]
        return Features(np.concatenate([f for f, _ in found]), np.concatenate(chances) if chances else None)

    def _block(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Features and class probabilities of at most `block` images, of which the network sees exactly `block`."""
        full = torch.from_numpy(rows[np.arange(self.block) % len(rows)]).to(self.device)
        # On NVIDIA cards convolutions would else be computed in TF32, 1e-3 off, by whatever kernel is quickest today.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            features, probabilities = self.network(full)
        self._check(features)
        # Cut before the values are looked at: the repeated rows are nobody's images.
        found = _at_least_float32(features[: len(rows)])
        if not np.isfinite(found).all():
            raise InputError(
                f"detector {self.name} returns NaN or infinity for {int((~np.isfinite(found)).any(1).sum())} of "
                f"{len(found)} images: its weights are damaged, or it does not work for such images"
            )
        return found, None if probabilities is None else _at_least_float32(probabilities[: len(rows)])

    def _check(self, features: Any) -> None:
        """InputError for anything but a floating-point tensor (block, dim)."""
        wanted = f"a floating-point tensor ({self.block}, {self.dim or 'D'}) for {self.block} images"
        if not isinstance(features, Tensor):
            raise InputError(f"detector {self.name} returns {type(features).__name__}, not {wanted}")
        fits = features.ndim == 2 and len(features) == self.block and self.dim in (None, features.shape[1])
        if not (fits and features.shape[1] and features.is_floating_point()):
            kind = str(features.dtype).removeprefix("torch.")
            raise InputError(f"detector {self.name} returns {kind} {tuple(features.shape)}, not {wanted}")


def _at_least_float32(values: Tensor) -> np.ndarray:
    """On the CPU, half precision widened; float64 stays what it is: metrics compute in it."""
    return (values if values.dtype == torch.float64 else values.float()).cpu().numpy()


def check_images(images: Any) -> None:
    """InputError for anything but uint8 (N, 1 or 3, H, W) with N, H and W at least 1."""
    if not isinstance(images, np.ndarray):
        raise InputError(f"a detector takes a numpy array of images, not {type(images).__name__}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"a detector takes images as uint8 (N, 1 or 3, H, W), not {images.dtype} {images.shape}; "
            "counterfeit.load_data returns them like this"
        )
