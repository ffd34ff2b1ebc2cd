"""Images to put into folders, and what is said of those that cannot be used."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfeit import data
from counterfeit.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def plain(color, size=(16, 16), mode="RGB"):
    return Image.new(mode, size, color)


def put(path: Path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or plain((10, 20, 30))).save(path, **options)
    return path


def bitmaps(root: Path, images: np.ndarray) -> Path:
    """BMP files, whose lengths are all the same, of one time, as git archive, tar and zip leave them."""
    for i, image in enumerate(images):
        path = put(root / f"{i}.bmp", Image.fromarray(image))
        os.utime(path, ns=(10**18, 10**18))
    return root


def refused(path, *parts, **options):
    with pytest.raises(DataError) as caught:
        data.load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message
