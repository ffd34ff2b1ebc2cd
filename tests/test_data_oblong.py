"""Images that are not square: --size 48x64."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit import data
from counterfeit.data.form import Form
from counterfeit.data.picture import ORIENTATION, cropped
from counterfeit.errors import InputError
from counterfeit.system.sides import sides, spelled
from folder_cases import put

NOISE = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)


def test_sizes_as_they_are_typed():
    assert [sides(size) for size in (64, "64", "48x64", "48X64")] == [(64, 64), (64, 64), (48, 64), (48, 64)]
    assert (spelled(64, 64), spelled(48, 64)) == (64, "48x64")
    for size in ("", "x", "48x", "x64", "48x64x3", "48.5x64", "-8x8", "7x64", "48x1025", "²8", None, 1.5):
        with pytest.raises(InputError, match="--size is .*such as 48x64"):
            sides(size)


@pytest.mark.parametrize(
    ("size", "part"),
    [("30x50", (0, 0, 100, 60)), ("20x10", (35, 0, 65, 60)), ("8x32", (0, 17, 100, 42)), ("15x15", (20, 0, 80, 60))],
)
def test_the_largest_part_in_the_middle_that_has_the_shape(root, size, part):
    """Against Pillow's crop and resize."""
    image = Image.fromarray(NOISE)
    put(root / "a.png", image)
    height, width = sides(size)
    expected = np.asarray(image.crop(part).resize((width, height), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    found = data.load(root, size=size)
    assert found.shape == (3, height, width)
    # Pillow filters over the edge of a box, and cannot over that of a crop.
    assert np.array_equal(np.array(found.images[0])[:, 4:-4, 4:-4], expected[:, 4:-4, 4:-4])
    assert np.array_equal(np.asarray(cropped(image, (height, width))).transpose(2, 0, 1), found.images[0])
    assert found.conversion["size"] == (size if height != width else height)
    assert found.conversion["crop"] == ("centered square" if height == width else "centered, in the shape of the size")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_on_its_side_is_cut_upright(root, orientation):
    upright = Image.fromarray(NOISE)
    turn = Image.Transpose
    turned = dict(  # what a camera stores for each orientation
        zip(
            range(2, 9),
            (
                turn.FLIP_LEFT_RIGHT,
                turn.ROTATE_180,
                turn.FLIP_TOP_BOTTOM,
                turn.TRANSPOSE,
                turn.ROTATE_90,
                turn.TRANSVERSE,
                turn.ROTATE_270,
            ),
            strict=True,
        )
    )
    stored = upright.transpose(turned[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    put(root / "a.png", stored, exif=exif)
    expected = np.asarray(cropped(upright, (24, 40))).transpose(2, 0, 1)
    difference = data.load(root, size="24x40").images[0].astype(int) - expected
    assert np.abs(difference).max() <= 2  # rows are filtered before columns or after, and rounded in between


def test_a_large_jpeg_is_cut_where_the_whole_would_be(root):
    ramp = np.add.outer(np.arange(900), np.arange(1601)) / 2500 * 255
    image = Image.fromarray(ramp.astype(np.uint8))
    put(root / "a.jpg", image, quality=100)
    found = data.load(root, size="12x20").images[0, 0].astype(int)
    assert np.abs(found - np.asarray(cropped(image, (12, 20)))).max() <= 2


def test_arrays_are_brought_to_the_same_form():
    images = NOISE.transpose(2, 0, 1)[None]
    assert Form("30x50")(images).shape == (1, 3, 30, 50) and Form("30x50").shape((3, 60, 100)) == (3, 30, 50)
    assert np.array_equal(
        Form("30x50")(images)[0].transpose(1, 2, 0), np.asarray(cropped(Image.fromarray(NOISE), (30, 50)))
    )
    assert np.array_equal(Form("60x100")(images), images)


def photos(root: Path, n: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for i in range(n):
        size = (int(rng.integers(30, 60)), int(rng.integers(30, 60)), 3)
        put(root / f"{i:03d}.png", Image.fromarray(rng.integers(0, 256, size, np.uint8)))
    return root


def test_training_and_scoring_in_a_size_that_is_not_square(cache, tmp_path, command):
    own, other = photos(tmp_path / "own", 20, 0), photos(tmp_path / "other", 20, 1)
    trained = command(
        "train", "vae", "--data", own, "--size", "24x32", "--batch-size", 8, "--epochs", 1, "--out", tmp_path / "run"
    )
    assert trained.code == 0, trained.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["shape"] == [3, 24, 32]
    run = cf.load(tmp_path / "run")
    assert run.sample(2).shape == (2, 3, 24, 32) and run.real("train").shape == (3, 24, 32)
    assert command("train", "vae", "--resume", "--epochs", 2, "--out", tmp_path / "run").code == 0
    ask = ["--metrics", "fid", "--detector", "cifar10-cnn", "-n", 20]
    scored = command("score", tmp_path / "run", "--real", other, "--size", "24x32", *ask)
    assert scored.code == 0, scored.err
    score = cf.score(own, other, size="24x32", metrics=["fid"], detector="cifar10-cnn", n=20)
    assert score.receipt["real"]["form"]["compared"]["size"] == [24, 32]
    refused = command("score", own, "--real", other, "--size", "24by32", *ask)
    assert refused.code == 2 and "--size is '24by32'" in refused.err and "such as 48x64" in refused.err
