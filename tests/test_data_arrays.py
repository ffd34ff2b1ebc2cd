"""Arrays and .npz files: every layout comes out as the same (N, C, H, W); anything doubtful is refused in one line."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
import torch

from counterfeit import data
from counterfeit.errors import DataError, InputError

rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (5, 3, 12, 9), dtype=np.uint8)  # (N, C, H, W)
GRAY = RGB[:, :1].copy()


def refused(*parts, source, **options):
    """Loading raises a one-line DataError that holds every one of `parts`."""
    with pytest.raises(DataError) as caught:
        data.load(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (RGB, RGB),
        (RGB.transpose(0, 2, 3, 1).copy(), RGB),
        (RGB.transpose(0, 2, 3, 1), RGB),  # a view that is not contiguous
        (RGB[::2], RGB[::2]),
        (RGB[..., ::-1], RGB[..., ::-1]),
        (GRAY, GRAY),
        (GRAY[:, 0], GRAY),
        (GRAY.transpose(0, 2, 3, 1).copy(), GRAY),
        (np.asfortranarray(RGB), RGB),
    ],
)
def test_layouts(given, expected):
    loaded = data.load(given)
    assert loaded.images.dtype == np.uint8
    assert loaded.images.flags.c_contiguous
    assert np.array_equal(loaded.images, expected)
    assert (loaded.name, loaded.split, loaded.labels, loaded.classes) == ("array", "train", None, ())
    assert loaded.shape == expected.shape[1:]
    assert len(loaded) == len(expected)


def test_an_array_in_the_right_form_is_not_copied():
    assert np.shares_memory(data.load(RGB).images, RGB)


def test_torch_tensors():
    tensor = torch.from_numpy(RGB.copy())
    loaded = data.load(tensor, labels=torch.tensor([0, 2, 1, 1, 0]))
    assert np.array_equal(loaded.images, RGB)
    assert loaded.labels.tolist() == [0, 2, 1, 1, 0]
    assert loaded.digest == data.load(RGB, labels=[0, 2, 1, 1, 0]).digest
    assert np.array_equal(data.load(tensor.permute(0, 2, 3, 1)).images, RGB)
    refused("float32", "0 to 1", "0..255", source=torch.linspace(0, 1, 128).reshape(2, 8, 8))
    refused("bfloat16", "0..255", source=torch.ones(2, 8, 8, dtype=torch.bfloat16, requires_grad=True))


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (np.zeros((2, 8, 8)), ["float64", "0 to 0", "scale them to 0..255", "round"]),
        (np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 8, 8), ["float32", "-1 to 1"]),
        (np.full((2, 8, 8), 300, np.int64), ["int64", "300"]),
        (np.ones((2, 8, 8), bool), ["bool", "uint8"]),
        (np.zeros((0, 8, 8), np.uint8), ["(0, 8, 8)", "no images"]),
        (np.zeros((0, 8, 8), np.float32), ["float32"]),
        (np.zeros((8, 8), np.uint8), ["(8, 8)", "(N, H, W)"]),
        (np.zeros((1, 1, 8, 8, 3), np.uint8), ["(1, 1, 8, 8, 3)", "(N, H, W)"]),
        (np.zeros((2, 5, 8, 8), np.uint8), ["(2, 5, 8, 8)", "channels"]),
        (np.zeros((2, 8, 8, 4), np.uint8), ["(2, 8, 8, 4)", "channels"]),
        (np.zeros((2, 3, 8, 3), np.uint8), ["(2, 3, 8, 3)", "both"]),
        (np.zeros((2, 1, 8, 1), np.uint8), ["(2, 1, 8, 1)", "both"]),
        (np.zeros((2, 3, 7, 8), np.uint8), ["(2, 3, 7, 8)", "at least 8"]),
        (np.zeros((2, 8, 7), np.uint8), ["(2, 8, 7)", "at least 8"]),
        (np.array(["a"]), ["uint8"]),
        ([[1, 2]], ["list", "numpy"]),
        (None, ["NoneType", "numpy"]),
    ],
)
def test_refused_arrays(array, parts):
    refused(*parts, source=array)


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        ([0, 1, 2, 3], ["(4,)", "(5,)"]),
        ([[0], [1], [2], [3], [4]], ["(5, 1)", "(5,)"]),
        ([0.0, 1.0, 2.0, 3.0, 4.0], ["float64", "whole"]),
        ([True, False, True, True, True], ["bool", "whole"]),
        (["a", "b", "c", "d", "e"], ["whole"]),
        ([0, -1, 2, 3, 4], ["-1"]),
        (np.array([0, 1, 2, 3, 2**64 - 1], np.uint64), [str(2**64 - 1)]),
        ([0, 1, 2, 3, 10**9], [str(10**9)]),
    ],
)
def test_refused_labels(labels, parts):
    refused(*parts, source=RGB, labels=labels)


def test_labels_and_classes():
    loaded = data.load(RGB, labels=np.array([3, 0, 0, 1, 3], np.uint8))
    assert loaded.labels.dtype == np.int64
    assert loaded.labels.tolist() == [3, 0, 0, 1, 3]
    assert loaded.classes == ("0", "1", "2", "3")


def test_digest_is_over_shape_pixels_and_labels():
    labels = np.array([0, 1, 2, 3, 4])
    digests = {
        data.load(RGB).digest,
        data.load(RGB, labels=labels).digest,
        data.load(RGB, labels=labels[::-1]).digest,
        data.load(RGB.reshape(5, 3, 9, 12)).digest,
        data.load(RGB ^ 1).digest,
    }
    assert len(digests) == 5
    expected = hashlib.sha256(json.dumps({"shape": [5, 3, 12, 9], "labels": True}).encode())
    expected.update(RGB.tobytes() + b"".join(int(label).to_bytes(8, "little") for label in labels))
    assert data.load(RGB.transpose(0, 2, 3, 1), labels=labels).digest == expected.hexdigest()


def test_options_that_do_not_apply():
    refused("size", source=RGB, size=32)
    refused("skip_bad", source=RGB, skip_bad=True)
    refused("'test'", source=RGB, split="test")
    refused("size", "mnist", source="mnist", size=32)
    refused("labels", "mnist", source="mnist", labels=[1])
    assert data.splits(RGB) == ("train",)


def test_npz(tmp_path):
    path = tmp_path / "fakes.npz"
    np.savez_compressed(path, images=RGB.transpose(0, 2, 3, 1), labels=[0, 1, 0, 1, 1])
    for source in (path, str(path)):
        loaded = data.load(source)
        assert np.array_equal(loaded.images, RGB)
        assert loaded.labels.tolist() == [0, 1, 0, 1, 1]
        assert (loaded.name, loaded.classes) == (str(path), ("0", "1"))
    np.savez(path, images=GRAY[:, 0])
    assert data.load(path).labels is None
    assert data.load(path).images.shape == GRAY.shape
    assert data.splits(path) == ("train",)
    refused("labels", source=path, labels=[0])
    refused("size", source=path, size=16)
    refused("'test'", source=path, split="test")


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["np.savez"]),
        (b"not a zip file", ["np.savez"]),
        (npz(images=RGB)[:300], ["np.savez"]),
        (npy(RGB), ["single array"]),
        (npz(pictures=RGB, others=RGB), ["'images'", "pictures uint8 (5, 3, 12, 9)", "np.savez(path, images=images"]),
        (npz(), ["'images'"]),
        (npz(images=np.array([RGB, None], object)), ["pickled"]),
        (npz(images=RGB, labels=np.array([{}] * 5, object)), ["pickled"]),
        (npz(images=RGB / 255), ["float64", "0..255"]),
        (npz(images=RGB, labels=[0, 1]), ["labels", "(2,)"]),
        (npz(images=RGB[0, 0]), ["(12, 9)"]),
    ],
    ids=range(11),
)
def test_refused_npz(tmp_path, content, parts):
    path = tmp_path / "fakes.npz"
    path.write_bytes(content)
    refused(str(path), *parts, source=path)


def test_npz_with_a_flipped_byte(tmp_path):
    path = tmp_path / "fakes.npz"
    content = bytearray(npz(images=RGB))
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is not None  # it is damaged where it should be
    refused(str(path), source=path)


def test_what_is_nowhere(tmp_path):
    refused("'mnits'", "'mnist'", "folder", source="mnits")
    refused("'zzzzzzz'", "cifar10", "folder", source="zzzzzzz")
    refused("there is no folder", source=str(tmp_path / "photos"))
    refused("there is no folder", source=tmp_path / "fakes.npz")
    (tmp_path / "photo.png").write_bytes(b"")
    refused("photo.png", "neither", source=tmp_path / "photo.png")
    with pytest.raises(DataError):
        data.splits("mnits")
    for path in ("", "x" * 5000):
        with pytest.raises(InputError, match="path"):
            data.load(path)
