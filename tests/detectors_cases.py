"""Random Inception weights and images, the same here and in benchmarks/parity/inception.py, where the peers see them.

The weights are scaled like He's initialization and batch norm is not the identity, so that activations neither vanish
nor explode and every part of the network shows in the features.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

PROTOCOLS = ("tf1", "pytorch-fid", "clean")
# (channels, height, width) of the images
SHAPES = ((1, 28, 28), (3, 32, 32), (3, 97, 64), (3, 299, 299))
PER_SHAPE = 2
STRIDE = 4  # every fourth feature is compared, and the norm of all


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """float32 arrays of these names and shapes (a state_dict's), each from a seed of its own, whatever the order."""
    return {name: _tensor(name, shape) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    noise = rng.standard_normal(shape).astype(np.float32)
    if name.endswith(("conv.weight", "fc.weight")):
        return noise * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    if name.endswith("running_var"):
        return np.exp(noise / 4)
    return noise / 10 + np.float32(name.endswith("bn.weight"))


def images(shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 (PER_SHAPE, C, H, W): noise over a slope, so that flat and busy places both occur."""
    rng = np.random.RandomState(sum(shape))
    slope = np.linspace(0, 160, shape[2])
    return (slope + rng.randint(0, 96, (PER_SHAPE, *shape))).astype(np.uint8)


def transformer_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """float32 arrays of these names and shapes, a Vision Transformer's, as `weights` makes Inception's."""
    return {name: _part(name, shape) for name, shape in shapes.items()}


def _part(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    noise = rng.standard_normal(shape).astype(np.float32)
    if len(shape) > 1 and name.endswith("weight"):
        return noise * np.float32(np.prod(shape[1:]) ** -0.5)
    return noise / 10 + np.float32("norm" in name and name.endswith("weight") or "lambda" in name)
