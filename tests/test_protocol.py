"""Size and color are part of the protocol: what is compared at which size, as which channels, and what says so."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit import detectors
from counterfeit.comparison.table import protocol
from counterfeit.data.form import Form, Formed, form_of, formed, is_gray
from counterfeit.scoring import Images, Scorer, features, judge
from counterfeit.settings import ScoreConfig


def bands(images: torch.Tensor) -> torch.Tensor:
    """A detector that takes images as they are: 16 features, of means and of edges, which change with the size."""
    x = images.float()
    means = torch.nn.functional.adaptive_avg_pool2d(x.mean(1), 2).flatten(1)
    edges = torch.nn.functional.adaptive_avg_pool2d(x.diff(dim=3).abs().mean(1), (3, 4)).flatten(1)
    return torch.cat([means, edges], 1)


def blobs(n: int, height: int, width: int, seed: int) -> np.ndarray:
    """Color images uint8 (n, 3, height, width) of a random gradient with noise."""
    rng = np.random.default_rng(seed)
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    slopes = rng.uniform(0, 90, (2, n, 3, 1, 1))
    pixels = slopes[0] * down + slopes[1] * across + rng.uniform(0, 60, (n, 3, height, width))
    return pixels.astype(np.uint8)


def saved(folder: Path, images: np.ndarray, mode: str | None = None) -> Path:
    """The images as PNG files."""
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        (picture.convert(mode) if mode else picture).save(folder / f"{i:04d}.png")
    return folder


def fid(source, real, **settings) -> float:
    score = cf.score(source, real, metrics=["fid"], detector=settings.pop("detector", bands), n=40, **settings)
    return next(iter(score.values())).value


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (48, 64)])
def test_a_folder_is_seen_as_an_array_of_its_images_is(size: tuple[int, int], tmp_path: Path) -> None:
    """Above the 64 pixels that training takes by default, and not square too: nothing is resized that nobody asked for.

    Seen at 64 pixels the images would get another value, see the next test.
    """
    fakes, real = blobs(40, *size, seed=1), blobs(40, *size, seed=2)
    array = fid(fakes, real)
    np.savez(tmp_path / "real.npz", images=real)
    a, b = saved(tmp_path / "a", fakes), saved(tmp_path / "b", real)
    assert fid(a, b) == fid(a, real) == fid(fakes, b) == fid(a, tmp_path / "real.npz") == array > 0


def test_size_brings_both_sides_to_it_by_one_filter_whatever_they_come_from(tmp_path: Path) -> None:
    fakes, real = blobs(40, 96, 96, seed=1), blobs(40, 72, 90, seed=2)
    a, b = saved(tmp_path / "a", fakes), saved(tmp_path / "b", real)
    sides = [(a, b), (a, real), (fakes, b), (lambda n, seed: fakes[:n], b)]
    values = [fid(source, wanted, size=32) for source, wanted in sides]
    assert values == [values[0]] * 4
    assert values[0] != fid(a, real, size=64)
    receipt = cf.score(a, b, metrics=["fid"], detector=bands, n=40, size=32).receipt
    assert receipt["real"]["form"] == {
        "stored": {"sizes": [[72, 90]], "channels": 3},
        "compared": {"size": [32, 32], "channels": 3},
        "filter": "centered square, lanczos",
    }
    assert receipt["generated"]["form"]["stored"]["sizes"] == [[96, 96]]


def test_a_function_that_draws_images_is_held_to_the_same(tmp_path: Path) -> None:
    real = blobs(40, 24, 24, seed=2)
    assert fid(lambda n, seed: blobs(n, 24, 24, 1), real) > 0
    with pytest.raises(cf.InputError, match=r"lambda>\(\) has images of 32x32 RGB.*24x24 RGB: pass --size 24"):
        fid(lambda n, seed: blobs(n, 32, 32, 1), real)
    score = cf.score(lambda n, seed: blobs(n, 32, 32, 1), real, metrics=["fid"], detector=bands, n=40, size=24)
    assert score.receipt["generated"]["form"]["stored"]["sizes"] == [[32, 32]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[cf.Run, Path]:
    """A VAE of 32x32 after an epoch, and the folder of its originals of 64x64."""
    home = tmp_path_factory.mktemp("protocol")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(home / "cache"))
        originals = saved(home / "originals", blobs(130, 64, 64, seed=3))
        settings = {"size": 32, "epochs": 1, "latent": 4, "encoder_width": 8, "decoder_width": 8}
        return cf.train("vae", originals, out=home / "run", quiet=True, **settings), originals


def test_a_run_is_scored_against_originals_of_another_size_once_the_size_is_named(run, command, tmp_path: Path) -> None:
    """Images that it was not trained on, of twice its side; with one size they get the value of the resized array."""
    run, originals = run
    words = ["score", run.path, "--detector", "cifar10-cnn", "--metrics", "fid", "-n", 60, "--json"]
    others = tmp_path / "others"
    others.mkdir()
    for path in sorted(originals.iterdir())[:100]:
        shutil.copy(path, others)
    refused = command(*words, "--real", others)
    assert refused.code == 2 and refused.err.strip().endswith(
        f"has images of 32x32 RGB and the real ones, {others}, are 64x64 RGB: pass --size 32 to resize both to one size"
    )
    named = json.loads(command(*words, "--real", others, "--size", 32).out)
    shrunk = Form(32)(blobs(130, 64, 64, seed=3)[:100])
    array = run.score(shrunk, n=60, detector="cifar10-cnn", metrics=["fid"])
    assert named["metrics"]["FID[cifar10-cnn]"]["value"] == array["FID[cifar10-cnn]"].value
    assert named["receipt"]["real"]["form"]["stored"]["sizes"] == [[64, 64]]
    larger = json.loads(command(*words, "--real", others, "--size", 48).out)
    assert larger["receipt"]["generated"]["form"] == {
        "stored": {"sizes": [[32, 32]], "channels": 3},
        "compared": {"size": [48, 48], "channels": 3},
        "filter": "centered square, lanczos",
    }
    assert protocol(larger["receipt"]) != protocol(named["receipt"]), "they never share a column"
    old = json.loads(json.dumps(named["receipt"]))
    for part in ("real", "generated"):
        del old[part]["form"]
    assert protocol(old) != protocol(named["receipt"]), "receipts of earlier versions do not say it, and can be read"


def test_the_data_of_a_run_are_read_at_its_size_or_at_the_one_that_is_named(run, tmp_path: Path) -> None:
    """At another size from their files, once they are known as those of the training; a copy of them is the same."""
    run, originals = run
    settings = {"n": 60, "detector": "cifar10-cnn", "metrics": ["fid"]}
    copies = tmp_path / "copies"
    shutil.copytree(originals, copies)
    for size, side in ((None, 32), (32, 32), (48, 48), (64, 64)):
        found = [run.score(real, size=size, **settings) for real in (None, copies)]
        values = [score["FID[cifar10-cnn]"].value for score in found]
        real = Form(side)(blobs(130, 64, 64, seed=3))
        assert values == [cf.score(Form(side)(run.sample(60)), real, **settings)["FID[cifar10-cnn]"].value] * 2
        assert found[0].receipt["real"]["form"] == {
            "stored": {"sizes": [[64, 64]], "channels": 3},
            "compared": {"size": [side, side], "channels": 3},
            "filter": None if side == 64 else "centered square, lanczos",
        }


def test_the_detector_of_the_literature_takes_each_side_at_its_own_size(capsys) -> None:
    """Any network stands in for Inception here; what counts is that it says `any_size`."""
    detector = replace(detectors.load(bands, device="cpu"), any_size=True)
    real, fakes = cf.load_data(blobs(40, 64, 64, 1)), blobs(40, 32, 32, 2)
    scorer = Scorer(detector, real)
    score = judge.score(fakes, ScoreConfig(metrics=["fid"], n=40, device="cpu"), scorer=scorer)
    assert score.receipt["generated"]["form"]["compared"]["size"] == [32, 32]
    assert score.receipt["real"]["form"]["compared"]["size"] == [64, 64]
    assert "each is brought to the detector's size from its own; --size 32 brings both" in capsys.readouterr().err


def test_only_inception_says_that_it_takes_any_size(tmp_path: Path) -> None:
    from counterfeit.detectors.inception import InceptionV3

    torch.save(InceptionV3().state_dict(), tmp_path / "weights.pth")
    inception = detectors.load("inception", weights=tmp_path / "weights.pth", any_weights=True, device="cpu")
    assert inception.any_size and not detectors.load("cifar10-cnn", device="cpu").any_size


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ([(40, 40), (64, 48)], "several sizes, 40x40 to 64x48; pass --size 40, for example, to resize them all"),
        ([(48, 64), (64, 48)], "several sizes, 48x64 to 64x48; pass --size 48"),
        ([(8, 1030)] * 2, "the longer side is over 8 times"),
        ([(1030, 1030)] * 2, "are of 1030x1030, and are taken as they are up to 1024 pixels only; pass --size 1024"),
    ],
)
def test_a_folder_without_one_size_needs_it_named(sizes, says: str, tmp_path: Path, command) -> None:
    np.savez(tmp_path / "real.npz", images=blobs(9, 32, 32, 0))
    (tmp_path / "mixed").mkdir()
    for i, (height, width) in enumerate(sizes):
        Image.new("RGB", (width, height), (i, 9, 99)).save(tmp_path / "mixed" / f"{i}.png")
    for words in (["mixed", "--real", "real.npz"], ["real.npz", "--real", "mixed"]):
        outcome = command("score", *words)
        assert outcome.code == 2 and says in outcome.err, outcome.err


def test_images_that_are_turned_by_exif_are_of_the_size_that_they_have_upright(tmp_path: Path, command) -> None:
    (tmp_path / "turned").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(2):
        Image.new("RGB", (40, 30), (i, 9, 99)).save(tmp_path / "turned" / f"{i}.jpg", exif=exif if i else Image.Exif())
    outcome = command("score", "turned", "--real", "mnist5k")
    assert outcome.code == 2 and "several sizes, 30x40 to 40x30; pass --size 30" in outcome.err


def test_of_a_mixed_folder_the_receipt_names_the_smallest_and_the_largest(tmp_path: Path) -> None:
    for i, (height, width) in enumerate([(40, 40), (64, 48), (50, 90), (40, 40)]):
        saved(tmp_path / "mixed" / str(i), blobs(2, height, width, i))
    form = cf.score(tmp_path / "mixed", blobs(20, 24, 24, 0), detector=bands, metrics=["fid"], size=24).receipt
    assert form["generated"]["form"]["stored"]["sizes"] == [[40, 40], [50, 90]]


def test_gray_digits_stored_as_rgb_are_scored_as_gray_ones(digits, tmp_path: Path, capsys) -> None:
    """On either side: as folders, files and arrays; the detector is the one of the gray images."""
    gray = digits[0]
    rgb = saved(tmp_path / "rgb", gray[:400], "RGB")
    settings = {"metrics": ["fid"], "n": 400}
    want = cf.score(gray[:400], "mnist5k", **settings)
    for source in (rgb, gray[:400].repeat(3, axis=1), lambda n, seed: gray[:n].repeat(3, axis=1)):
        score = cf.score(source, "mnist5k", **settings)
        assert score["FID[mnist-cnn]"].value == want["FID[mnist-cnn]"].value
        form = score.receipt["generated"]["form"]
        assert (form["stored"]["channels"], form["compared"]["channels"]) == (3, 1)
    assert "stored as RGB but are gray; they are compared as gray images" in capsys.readouterr().err
    as_real = cf.score(gray[400:], rgb, **settings)
    assert as_real["FID[fashion-cnn]"].value == cf.score(gray[400:], gray[:400], **settings)["FID[fashion-cnn]"].value
    assert as_real.receipt["real"]["form"]["compared"]["channels"] == 1


def test_a_gray_run_is_scored_against_its_digits_stored_as_rgb(digits, tmp_path: Path) -> None:
    run = cf.train("vae", digits[0][:130], out=tmp_path / "run", epochs=1, encoder_width=8, decoder_width=8, quiet=True)
    rgb, color = tmp_path / "rgb.npz", tmp_path / "color.npz"
    np.savez(rgb, images=digits[0][:130].repeat(3, axis=1))
    np.savez(color, images=np.concatenate([digits[0][:130]] * 2 + [255 - digits[0][:130]], axis=1))
    settings = {"metrics": ["fid"], "n": 100, "detector": "mnist-cnn"}
    assert dict(run.score(rgb, **settings)) == dict(run.score(digits[0][:130], **settings))
    with pytest.raises(cf.InputError, match="28x28 gray.*28x28 RGB: color and gray images cannot be compared"):
        run.score(color, **settings)


def test_one_pixel_in_color_makes_a_set_of_colors(digits) -> None:
    rgb = np.concatenate([digits[0], digits[0][:100]]).repeat(3, axis=1)  # more than are looked at together
    assert is_gray(cf.load_data(rgb)) and is_gray(cf.load_data(digits[0]))
    for channel in range(3):
        tinted = rgb.copy()
        tinted[-1, channel, -1, -1] ^= 1  # of the last image, in the last block
        assert not is_gray(cf.load_data(tinted))


def test_a_formed_set_gives_rows_as_an_array_does_and_remembers_what_is_stored() -> None:
    images = cf.load_data(blobs(30, 40, 56, seed=5))
    small = formed(images, Form(16))
    whole = Form(16)(images.images)
    assert isinstance(small.images, Formed) and small.shape == (3, 16, 16) and small.digest == images.digest
    assert np.array_equal(np.asarray(small.images), whole) and np.array_equal(np.array(small.images), whole)
    for rows in (3, -1, slice(2, 20, 3), np.array([5, 1, 1]), np.arange(30) % 2 == 0, [4, 2]):
        assert np.array_equal(small.images[rows], whole[rows])
    assert np.array_equal(np.stack(list(small.images)), whole)
    assert formed(images, Form()) is images and formed(small, Form(16)) is small
    assert form_of(formed(small, Form(24)))["stored"] == {"sizes": [[40, 56]], "channels": 3}


def test_cached_features_are_of_one_size() -> None:
    detector = detectors.load("cifar10-cnn", device="cpu")
    images = cf.load_data(blobs(30, 40, 40, seed=5))
    keys = {features.key(detector, formed(images, form), 30, 0) for form in (Form(), Form(16), Form(24), Form(40))}
    assert len(keys) == 3, "40 is what they are already"
    gray = cf.load_data(blobs(30, 40, 40, seed=5)[:, :1].repeat(3, axis=1))
    assert features.key(detector, gray, 30, 0) != features.key(detector, formed(gray, Form(gray=True)), 30, 0)


def test_a_set_is_drawn_as_it_was_loaded_from_an_earlier_size() -> None:
    images = cf.load_data(blobs(30, 40, 40, seed=5))
    assert Images.of(images, formed(images, Form(16)), size=16).shape == (3, 16, 16)


@pytest.mark.parametrize("size", [7, 1025])
def test_a_size_that_cannot_be(size, digits) -> None:
    with pytest.raises(cf.InputError, match="--size is"):
        cf.score(digits[0], "mnist5k", size=size)
