"""Data sets of PyTorch, torchvision and Hugging Face, by what they have in common: a length and rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from counterfeit.data.picture import in_eight_bits
from counterfeit.errors import DataError
from counterfeit.system.arguments import shown
from counterfeit.system.console import progress
from counterfeit.system.memory import check_room
from counterfeit.system.text import reason

COLUMNS = ("image", "img", "pixel_values")  # of images in rows with names, the first that is there
LABELS = ("label", "labels", "fine_label")
STEP = 256  # rows between two moves of the progress bar


class Read(NamedTuple):
    """uint8 (N, C, H, W), int64 (N,) or None, and the names of the classes, or () where they have none."""

    images: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]


def is_dataset(source: Any) -> bool:
    """Whether it is a sequence of rows, and neither an array nor a container of Python's own."""
    plain = isinstance(source, str | bytes | bytearray | memoryview | list | tuple | range | Mapping)
    rows = hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, type)
    return rows and not plain and not hasattr(source, "dtype") and not hasattr(source, "__array__")


def read(source: Any) -> Read:
    """Read all rows once: an image, a pair of image and label, or a mapping with an image and perhaps a label.

    Images are Pillow's, or arrays or tensors of uint8, or of floats from 0 to 1, as `ToTensor` makes them; all of one
    size. Raises DataError for anything else, with the row.
    """
    n, name = _length(source), type(source).__name__
    images: np.ndarray | None = None
    labels: list[int] = []
    with progress(f"reading {n:,} images of {name}", n) as advance:
        for i in range(n):
            pixels, label = _row(source, i, name)
            if images is None:
                check_room(n * pixels.size, f"{n:,} images of {name}", "take a part: torch.utils.data.Subset")
                images = np.empty((n, *pixels.shape), np.uint8)
            if pixels.shape != images.shape[1:]:
                sizes = " and ".join("x".join(map(str, shape)) for shape in (images.shape[1:], pixels.shape))
                raise DataError(f"{name}: images 0 and {i:,} are {sizes}; give all one size and mode by its transform")
            images[i] = pixels
            labels += [] if label is None else [label]
            if i % STEP == STEP - 1:
                advance(STEP)
    assert images is not None
    if labels and len(labels) != n:
        raise DataError(f"{name}: {len(labels):,} of {n:,} rows have a label; all need one, or none")
    return Read(images, np.array(labels, np.int64) if labels else None, _classes(source) if labels else ())


def _length(source: Any) -> int:
    try:
        n = len(source)
    except Exception as error:  # of somebody else's class
        raise DataError(f"{type(source).__name__} cannot be read as images: its length ({reason(error)})") from None
    if n == 0:
        raise DataError(f"{type(source).__name__} has no rows")
    return n


def _row(source: Any, i: int, name: str) -> tuple[np.ndarray, int | None]:
    try:
        row = source[i]
    except Exception as error:  # of somebody else's class
        raise DataError(f"{name}: row {i:,} cannot be read ({reason(error)})") from None
    image, label = row, None
    if isinstance(row, Mapping):
        column = next((one for one in COLUMNS if one in row), None)
        if column is None:
            raise DataError(f"{name}: its rows have {', '.join(map(str, row))}; rename the images to {COLUMNS[0]}")
        image, label = row[column], next((row[one] for one in LABELS if one in row), None)
    elif isinstance(row, tuple | list):
        if not 1 <= len(row) <= 2:
            raise DataError(f"{name}: row {i:,} has {len(row)} parts; it must be an image, or an image and its label")
        image, label = row[0], row[1] if len(row) == 2 else None
    where = f"{name}: image {i:,}"
    return _pixels(image, where), None if label is None else _label(label, f"{name}: the label of row {i:,}")


def _pixels(image: Any, where: str) -> np.ndarray:
    """uint8 (C, H, W)."""
    try:
        array = _array(image)
    except Exception as error:  # a file that is opened late, or a kind of number that NumPy has not
        raise DataError(f"{where} cannot be read ({reason(error)})") from None
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        raise DataError(f"{where} is {shown(image)}; it must be a Pillow image, or an array (C, H, W) or (H, W, C)")
    if array.ndim == 2:
        array = array[None]
    elif array.shape[0] not in (1, 3) and array.shape[2] in (1, 3):
        array = array.transpose(2, 0, 1)
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise DataError(f"{where} has values outside of 0 to 1: leave out Normalize, which is the model's affair")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataError(f"{where} is {shown(image)}; it must be uint8, or floats from 0 to 1")
    return array


def _array(image: Any) -> Any:
    """A Pillow image as uint8 (H, W) or (H, W, 3), a tensor as an array; anything else as it is."""
    if isinstance(image, Image.Image):
        gray = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
        return np.asarray(in_eight_bits(image).convert("L" if gray else "RGB"))
    torch = sys.modules.get("torch")  # who has a tensor has imported it; reading files shall not
    if torch is not None and isinstance(image, torch.Tensor):
        return (image.float() if image.is_floating_point() else image).detach().cpu().numpy()
    return image


def _label(label: Any, where: str) -> int:
    try:
        number = int(label)
        if number == label:
            return number
    except Exception:
        pass
    raise DataError(f"{where} is {shown(label)}; it must be a whole number")


def _classes(source: Any) -> tuple[str, ...]:
    """Names of the classes where the data set has them: `classes` in torchvision, `features` in Hugging Face's."""
    names = getattr(source, "classes", None)
    features = getattr(source, "features", None)
    if names is None and isinstance(features, Mapping):
        names = next((getattr(features[one], "names", None) for one in LABELS if one in features), None)
    good = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if good and names else ()
