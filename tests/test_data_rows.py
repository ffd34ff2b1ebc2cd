"""Data sets of PyTorch, torchvision and Hugging Face: the same images and labels as from an array."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

import counterfeit as cf

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (24, 1, 16, 16), np.uint8)
COLOR = RNG.integers(0, 256, (24, 3, 16, 20), np.uint8)
LABELS = np.arange(24) % 3


class Pictures(Dataset):
    """As torchvision has them: Pillow's images, through a transform, and a number."""

    classes = ["cat", "dog", "eel"]

    def __init__(self, images: np.ndarray, transform: Any = lambda image: image) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        if i >= len(self):
            raise IndexError(i)
        pixels = self.images[i].transpose(1, 2, 0)
        return self.transform(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)), int(LABELS[i])


class Table:
    """As of Hugging Face: rows are dicts, and features know the names."""

    def __init__(self, column: str = "image") -> None:
        self.column = column
        self.features = {column: None, "label": types.SimpleNamespace(names=["cat", "dog", "eel"])}

    def __len__(self) -> int:
        return len(COLOR)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {self.column: Image.fromarray(COLOR[i].transpose(1, 2, 0)), "label": int(LABELS[i])}


def to_tensor(image: Image.Image) -> torch.Tensor:
    """What torchvision's ToTensor does."""
    array = np.asarray(image)
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(array.copy()).float().div(255)


@pytest.mark.parametrize(
    "source, images",
    [
        (TensorDataset(torch.from_numpy(GRAY), torch.from_numpy(LABELS)), GRAY),
        (TensorDataset(torch.from_numpy(GRAY) / 255, torch.from_numpy(LABELS)), GRAY),
        (Pictures(GRAY), GRAY),
        (Pictures(COLOR), COLOR),
        (Pictures(COLOR, to_tensor), COLOR),
        (Pictures(GRAY, to_tensor), GRAY),
        (Table(), COLOR),
        (Table("img"), COLOR),
    ],
)
def test_they_are_the_images_of_an_array(source: Any, images: np.ndarray) -> None:
    found, same = cf.load_data(source), cf.load_data(images, labels=LABELS)
    assert np.array_equal(found.images, images) and np.array_equal(found.labels, LABELS)
    assert (found.digest, found.kind) == (same.digest, "array")
    assert found.classes == (tuple("012") if isinstance(source, TensorDataset) else ("cat", "dog", "eel"))


def test_a_part_and_one_without_labels() -> None:
    found = cf.load_data(Subset(Pictures(GRAY), [5, 3]))
    assert np.array_equal(found.images, GRAY[[5, 3]]) and list(found.labels) == [2, 0]
    bare = cf.load_data(TensorDataset(torch.from_numpy(GRAY)))
    assert bare.labels is None and bare.digest == cf.load_data(GRAY).digest
    assert list(cf.load_data(TensorDataset(torch.from_numpy(GRAY)), labels=LABELS).labels) == list(LABELS)


def test_it_trains_and_resumes(tmp_path) -> None:
    quick = {"batch_size": 8, "latent": 4, "encoder_width": 4, "decoder_width": 4, "quiet": True, "out": "run"}
    cf.train("cvae", Pictures(GRAY), epochs=1, **quick)
    run = cf.train("cvae", Pictures(GRAY), epochs=2, resume=True, **quick)
    whole = cf.train("cvae", GRAY, labels=LABELS, epochs=2, **{**quick, "out": "whole"})
    assert run.weights_sha256 == whole.weights_sha256 and run.data.classes == ("cat", "dog", "eel")


@pytest.mark.parametrize(
    "source, says",
    [
        (Pictures(GRAY, lambda image: to_tensor(image) * 2 - 1), "image 0 has values outside of 0 to 1: leave out"),
        (Pictures(GRAY, lambda image: image.resize((8 + image.getpixel((0, 0)) % 5, 8))), "give all one size"),
        (Pictures(GRAY, lambda image: "picture"), "image 0 is 'picture'"),
        (Pictures(GRAY, lambda image: 1 / 0), "row 0 cannot be read (ZeroDivisionError: division by zero)"),
        (TensorDataset(torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.zeros(2)), "row 0 has 3 parts"),
        (TensorDataset(torch.zeros(2, 1, 8, 8), torch.tensor([0.5, 1])), "the label of row 0 is"),
        (TensorDataset(torch.zeros(2, 1, 8, 8, dtype=torch.int64)), "must be uint8, or floats from 0 to 1"),
        (Pictures(GRAY, lambda image: image.convert("F")), "its pixels are 32-bit floats, whose range is not known"),
        (Table("photo"), "its rows have photo, label; rename the images to image"),
        (Subset(Pictures(GRAY), []), "Subset has no rows"),
    ],
)
def test_what_cannot_be_used_is_one_line(source: Any, says: str) -> None:
    with pytest.raises(cf.InputError) as error:
        cf.load_data(source)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_its_own_labels_are_not_replaced() -> None:
    with pytest.raises(cf.InputError, match="Pictures has labels of its own: leave out labels="):
        cf.load_data(Pictures(GRAY), labels=LABELS)


def test_pictures_of_many_bits_or_with_transparency_are_read_as_files_are(tmp_path: Path) -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16))
    found = cf.load_data(Pictures(GRAY, lambda image: deep)).images
    assert found.shape[1:] == (1, 8, 8) and found[0].min() == 0 and found[0].max() == 255
    assert 120 < np.median(found) < 136
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (cf.load_data(Pictures(GRAY, lambda image: clear)).images == 255).all()
    late = tmp_path / "late.png"
    deep.save(late)
    late.write_bytes(late.read_bytes()[:60])
    with Image.open(late) as cut, pytest.raises(cf.InputError, match="image 0 cannot be read"):
        cf.load_data(Pictures(GRAY, lambda image: cut))


def test_tensors_of_half_precision_are_read() -> None:
    data = TensorDataset(torch.full((2, 1, 8, 8), 0.5, dtype=torch.bfloat16))
    assert (cf.load_data(data).images == 128).all()
