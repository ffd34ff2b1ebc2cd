"""Copies as people make them are found among training images; against a search of everything."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit import detectors
from counterfeit.data.form import Form, formed
from counterfeit.metrics.memorization import KINDS
from counterfeit.scoring import copies
from counterfeit.scoring.copies import Gallery, Seen, shrunk
from counterfeit.scoring.images import Images
from counterfeit.scoring.scorer import Scorer
from counterfeit.system.distributed import ALONE, Alone


@pytest.fixture(scope="module")
def parts(test_cache) -> tuple[cf.ImageSet, cf.ImageSet, np.ndarray]:
    """mnist5k cut into 3,000 training images, 1,000 test images and 1,000 that nobody saw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    images = data.images[np.random.default_rng(1).permutation(5000)]
    train, test = cf.load_data(images[:3000]), cf.load_data(images[3000:4000])
    return replace(train, split="train"), replace(test, split="test"), images[4000:]


@pytest.fixture(scope="module")
def gallery(parts) -> Gallery:
    return Gallery(parts[0])


def moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    h, w = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    return padded[:, :, 2 + down : 2 + down + h, 2 + right : 2 + right + w]


def as_jpeg(images: np.ndarray) -> np.ndarray:
    found = []
    for one in images:
        file = io.BytesIO()
        Image.fromarray(one[0]).save(file, "JPEG", quality=75)
        found.append(np.asarray(Image.open(file))[None])
    return np.stack(found)


def noisy(images: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(2).normal(0, 5, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


WAYS = {
    "exact": (lambda images: images, "as it is"),
    "mirrored": (lambda images: images[..., ::-1], "mirrored"),
    "moved": (lambda images: moved(images, 0, 1), "moved"),
    "moved by two": (lambda images: moved(images, -2, 1), "moved"),
    "JPEG": (as_jpeg, "as it is"),
    "noisy": (noisy, "as it is"),
    "all of it": (lambda images: noisy(as_jpeg(moved(images[..., ::-1], 1, 0))), "mirrored and moved"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copys_source_is_found_and_by_kind(parts, gallery: Gallery, way: str) -> None:
    train, _, _ = parts
    make, kind = WAYS[way]
    rows = np.arange(0, 3000, 10)
    found = gallery.search(make(train.images[rows]))
    assert (found.index == rows).mean() >= 0.99
    assert (found.ratio < 0.2).mean() >= 0.98
    right = found.kind == KINDS.index(kind)  # a digit that is its own mirror image has two right answers
    assert right.mean() >= 0.97


def test_images_that_nobody_copied_are_not_near(parts, gallery: Gallery) -> None:
    _, test, unseen = parts
    for images in (test.images, unseen, moved(unseen, 1, 0), unseen[..., ::-1]):
        assert (gallery.search(images).ratio < 0.2).mean() < 0.005


def test_five_in_a_hundred_mirrored_copies_are_flagged_and_none_are_not(parts) -> None:
    """By the whole way through a scorer: by pixels, since the features of a mirrored digit are another one's."""

    def squares(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), 4).flatten(1)

    train, test, unseen = parts
    scorer = Scorer(detectors.load(squares), test, train=train)
    copier = np.concatenate([unseen[50:], train.images[:50, ..., ::-1]])
    near = scorer.score(Images.of(copier, test), ["near-copies"], 1000)["Near-copies[squares()]"]
    assert near.extras["flagged"] == 1 and near.extras["mirrored"] >= 0.045 and near.extras["features"] < 0.01
    assert "mirrored" in near.notes[0] and "training image" in near.notes[0]
    honest = scorer.score(Images.of(unseen, test), ["near-copies"], 1000)
    assert not honest["Near-copies[squares()]"].extras["flagged"]
    assert not honest["Near-copies (test)[squares()]"].extras["flagged"]


def test_candidates_are_the_nearest_by_spectrum_of_the_image_or_its_mirror_image(parts, gallery: Gallery) -> None:
    train, test, _ = parts
    spectra, few = copies.spectra(train.images).reshape(3000, -1), test.images[:40]
    squares = [
        np.square(copies.spectra(images).reshape(40, 1, -1).astype(np.float64) - spectra).sum(axis=2)
        for images in (few, few[..., ::-1])
    ]
    nearest = np.argsort(np.minimum(*squares), axis=1)[:, : copies.CANDIDATES]
    np.testing.assert_array_equal(np.sort(gallery._candidates(few), axis=1), np.sort(nearest, axis=1))


def test_the_order_and_the_company_of_images_are_nothing(parts, gallery: Gallery) -> None:
    """Up to float32's rounding, whose matrix products differ with their rows."""
    _, test, _ = parts
    whole, order = gallery.search(test.images[:600]), np.random.default_rng(0).permutation(600)
    mixed = gallery.search(test.images[:600][order])
    np.testing.assert_allclose(mixed.ratio, whole.ratio[order], rtol=1e-4)
    assert (mixed.index == whole.index[order]).mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (3, 40, 56), (1, 8, 200), (3, 129, 65)])
def test_every_size_can_be_searched(shape: tuple[int, int, int]) -> None:
    """Also fewer training images than candidates, and training images without any difference."""
    rng = np.random.default_rng(0)
    for count in (2, 60):
        images = rng.integers(0, 256, (count, *shape), np.uint8)
        found = Gallery(cf.load_data(images)).search(shrunk(images[..., ::-1]))
        assert (found.ratio <= 1).all() and (found.index == np.arange(count)).all()
    blank = np.zeros((40, *shape), np.uint8)
    assert (Gallery(cf.load_data(blank)).search(shrunk(blank)).ratio == 1).all(), "nothing can be said of these"


def test_what_the_test_images_match_is_kept_for_the_size_at_which_they_are_searched(parts) -> None:
    """Images brought to another size keep the digest of what is stored, and must not get what was found at that."""
    train, test, _ = parts
    for size in (None, 16, 14):
        sets = formed(test, Form(size)), formed(train, Form(size))
        found = copies.of_test(sets[0], lambda train=sets[1]: Gallery(train), sets[1])
        np.testing.assert_array_equal(found.ratio, Gallery(sets[1]).search(shrunk(sets[0].images[:])).ratio)


def test_a_detector_of_any_size_does_not_make_pixels_of_two_sizes_comparable(parts) -> None:
    train, test, unseen = parts
    detector = replace(detectors.load("fashion-cnn"), any_size=True)
    large, small = cf.load_data(unseen[:100].repeat(2, axis=2).repeat(2, axis=3)), formed(test, Form(20))
    says = "near-copies compares pixels, and .* images of {} gray and array:train of 28x28 gray: pass --size {}"
    with pytest.raises(cf.InputError, match=says.format("56x56", 28)):
        Scorer(detector, test, train=train).score(Images.of_set(large), ["near-copies"], 100)
    with pytest.raises(cf.InputError, match=says.format("20x20", 20)):
        Scorer(detector, small, train=train).score(Images.of_set(cf.load_data(unseen[:100])), ["near-copies"], 100)


def test_large_images_are_averaged_down() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 96), np.uint8)
    small = shrunk(images)
    assert small.shape == (2, 3, 22, 32) and small.dtype == np.uint8
    assert small[1, 2, 3, 4] == round(images[1, 2, 9:12, 12:15].mean())
    assert shrunk(images[:, :, :32, :32]) is not None and shrunk(images[:, :, :32, :32]).shape == (2, 3, 32, 32)


def test_what_is_seen_is_what_was_drawn(parts) -> None:
    train, _, _ = parts
    seen = Seen(Images.of_set(train), train)
    for n, seed in ((2500, 0), (1200, 3)):
        drawn = np.concatenate(list(seen.images.draw(n, seed, ALONE)))
        np.testing.assert_array_equal(seen.gathered(n, ALONE), drawn)


def test_what_two_processes_saw_is_put_in_order(parts) -> None:
    """Each draws its share; the first one puts them together as one process would have drawn them."""
    train, _, _ = parts

    class Pretended(Alone):
        world = 2

        def __init__(self, rank: int) -> None:
            self.rank = rank

        def gather(self, value):
            return shares

    shares: list = []
    for n in (1500, 100):  # of the latter all is in the share of the first
        shares.clear()
        for rank in (0, 1):
            seen = Seen(Images.of_set(train), train)
            batches = list(seen.images.draw(n, 0, Pretended(rank)))
            shares.append([shrunk(batch) for batch in batches])
        whole = np.concatenate(list(Images.of_set(train).draw(n, 0, ALONE)))
        np.testing.assert_array_equal(seen.gathered(n, Pretended(0)), whole)
