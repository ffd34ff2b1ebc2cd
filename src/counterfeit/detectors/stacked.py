"""Three digits in one image: the digit classifier on each color channel, for stacked MNIST.

Stacked MNIST has a digit in each channel and the three-digit number as its label (Metz et al. 2017, arXiv:1611.02163):
1,000 classes, of which a generator's images show how many it draws.
"""

from __future__ import annotations

import torch
from torch import Tensor

from counterfeit import catalog
from counterfeit.detectors import small_cnn
from counterfeit.detectors.detector import Detector
from counterfeit.detectors.entry import DETECTORS, Entry, Options
from counterfeit.errors import InputError

NAME, OF = "stacked-mnist-cnn", "mnist-cnn"


def make(options: Options) -> Detector:
    """Make the detector: features of the three channels side by side, and the products of their class probabilities."""
    options.refuse(NAME, "weights", "any_weights", "protocol")
    digits = small_cnn.make(OF, options)
    assert digits.dim is not None

    def detect(images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1] != 3:
            raise InputError(f"{NAME} takes color images, a digit in each channel, and these are gray: use {OF}")
        found = [digits.network(images[:, c : c + 1].contiguous()) for c in range(3)]
        hundreds, tens, ones = (p for _, p in found if p is not None)
        numbers = torch.einsum("bi,bj,bk->bijk", hundreds, tens, ones)
        return torch.cat([features for features, _ in found], 1), numbers.flatten(1)

    protocol = f"each channel as {digits.protocol}"
    return Detector(NAME, protocol, 3 * digits.dim, digits.weights_sha256, options.device, digits.block, detect)


DETECTORS.add(NAME, Entry(**vars(catalog.DETECTORS[NAME]), make=make))
