"""The common interface of all detectors: uint8 images in, features and optionally class probabilities out.

Convolutions and matrix products round differently for different numbers of rows. For this reason images always pass
through a detector in blocks of one fixed number of rows: a short last block is filled up, and the extra results are
dropped. The features of an image are then bitwise the same whatever other images are scored, and however the caller
splits the images into calls.
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

SMALL = 1000  # features: networks with fewer are small, unless they say otherwise

# uint8 (B, C, H, W) on the detector's device -> features (B, D), and class probabilities (B, K) or None
Network = Callable[[Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Features:
    """What a detector computes from images.

    Attributes:
        features: float32 (N, D), all finite; float64 if the detector computes in float64.
        probabilities: class probabilities, float32 or float64 (N, K), rows sum to 1; None if the detector is no
            classifier.
    """

    features: np.ndarray
    probabilities: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Detector:
    """A function from images to features, ready to be called.

    Attributes:
        name: printed in the name of every metric, as in `FID[mnist-cnn]`; also shows weights or a protocol that are not
            the default.
        protocol: how images are brought to the size and range that the network expects, in a few words.
        dim: D, the number of features; None if only a call can show it (for a user's callable).
        weights_sha256: SHA-256 of the weights file, hex; None if there is no such file.
        device: where the network runs.
        block: number of images that pass through the network at once.
        network: images of one block on the device -> their features and class probabilities.
        any_size: whether it may compare sets of different image sizes, each resized directly to the network's size, as
            in the literature; otherwise both sets must have the same size.
        classifier: whether it gives class probabilities.
        large: whether it takes too long per image for a whole training set, however few features it has.
        custom: whether it is the user's own, so that nothing guarantees that it meets the requirements for a detector.
        versions: versions of the libraries, other than torch, that it runs on.
    """

    name: str
    protocol: str
    dim: int | None
    weights_sha256: str | None
    device: torch.device
    block: int
    network: Network
    any_size: bool = False
    classifier: bool = True
    large: bool = False
    custom: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def quick(self) -> bool:
        """Whether features of a whole training set are a matter of minutes."""
        return not self.large and self.dim is not None and self.dim < SMALL

    @checked
    @alone
    def __call__(self, images: np.ndarray, advance: Callable[[int], object] | None = None) -> Features:
        """Compute the features of images.

        Args:
            images: uint8 (N, C, H, W), N >= 1, C = 1 (grayscale) or 3 (RGB), any size; may be a memory map.
            advance: called after each block with its number of images, for a progress bar.

        Raises:
            InputError: the images have another form, or the network returns a wrong shape or values that are not
                finite.
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
        """Features and class probabilities of at most `block` images; the network always sees exactly `block`."""
        full = torch.from_numpy(rows[np.arange(self.block) % len(rows)]).to(self.device)
        features, probabilities = self.network(full)
        self._check(features)
        # Cut before checking the values: the repeated rows do not belong to any image.
        found = _at_least_float32(features[: len(rows)])
        if not np.isfinite(found).all():
            raise InputError(
                f"detector {self.name} returns NaN or infinity for {int((~np.isfinite(found)).any(1).sum())} of "
                f"{len(found)} images: its weights are damaged, or it does not work for such images"
            )
        return found, None if probabilities is None else _at_least_float32(probabilities[: len(rows)])

    def _check(self, features: Any) -> None:
        """Raise InputError for anything but a floating-point tensor (block, dim)."""
        wanted = f"a floating-point tensor ({self.block}, {self.dim or 'D'}) for {self.block} images"
        if not isinstance(features, Tensor):
            raise InputError(f"detector {self.name} returns {type(features).__name__}, not {wanted}")
        fits = features.ndim == 2 and len(features) == self.block and self.dim in (None, features.shape[1])
        if not (fits and features.shape[1] and features.is_floating_point()):
            kind = str(features.dtype).removeprefix("torch.")
            raise InputError(f"detector {self.name} returns {kind} {tuple(features.shape)}, not {wanted}")


def _at_least_float32(values: Tensor) -> np.ndarray:
    """Move to the CPU and convert half precision to float32. float64 stays as it is, since metrics compute in it."""
    return (values if values.dtype == torch.float64 else values.float()).cpu().numpy()


def check_images(images: Any) -> None:
    """Raise InputError for anything but uint8 (N, 1 or 3, H, W) with N, H and W at least 1."""
    if not isinstance(images, np.ndarray):
        raise InputError(f"a detector takes a numpy array of images, not {type(images).__name__}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"a detector takes images as uint8 (N, 1 or 3, H, W), not {images.dtype} {images.shape}; "
            "counterfeit.load_data returns them like this"
        )
