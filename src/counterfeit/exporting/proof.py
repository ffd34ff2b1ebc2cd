"""Does the file make our images? Checked on the images of a seed before the file is kept, and said in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from counterfeit.errors import RunError

CHECKED = 256  # images
MOST = 1  # level of 255 that a pixel may differ by: sums in another order round to another level now and then

# From a file's inputs by name to its images, uint8 (N, C, H, W).
Made = Callable[[dict[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Cases:
    """The first images of seed 0, and what they are made of.

    Attributes:
        inputs: by name, as the exported generator takes them: `latents`, and `labels` of a model with classes.
        images: uint8 (CHECKED, C, H, W), as `Run.sample` makes them.
    """

    inputs: dict[str, np.ndarray]
    images: np.ndarray


@dataclass(frozen=True)
class Proof:
    """What was found.

    Attributes:
        levels: the largest difference of a pixel, of 255.
        pixels: share of the pixels that differ at all.
    """

    levels: int
    pixels: float

    def __str__(self) -> str:
        if not self.levels:
            return f"no pixel differs from ours on {CHECKED} images"
        some = "1 level" if self.levels == 1 else f"{self.levels} levels"
        return f"at most {some} of 255 from ours on {CHECKED} images, in {self.pixels:.2g} of the pixels"


def proved(made: Made, cases: Cases, what: str) -> Proof:
    """Compare; part by part, so that rows of any number are tried. Raises RunError for another image."""
    parts = np.array_split(np.arange(CHECKED), [1, 65])  # 1, 64 and 191 rows
    images = np.concatenate([made({name: of[rows] for name, of in cases.inputs.items()}) for rows in parts])
    if images.shape != cases.images.shape or images.dtype != np.uint8:
        raise RunError(f"{what} makes {images.dtype} {images.shape}, not uint8 {cases.images.shape}: not written")
    apart = np.abs(images.astype(np.int16) - cases.images)
    proof = Proof(int(apart.max()), float((apart > 0).mean()))
    if proof.levels > MOST:
        raise RunError(f"{what} does not make the run's images ({proof}): not written. Please report this")
    return proof
