"""An explored run: images at once, directions, means of classes, nearest training images."""

from __future__ import annotations

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.metrics.distances import squared_distances

MODELS = ("ae", "vae", "cvae", "gan", "flow", "vq-vae")


@pytest.fixture(scope="module")
def explorers(every_kind) -> dict[str, cf.Explorer]:
    return {name: cf.Explorer(every_kind[name]) for name in MODELS}


@pytest.mark.parametrize("name", ["vae", "cvae", "gan", "flow"])
def test_images_at_once_are_those_of_decode_within_a_level(name: str, explorers) -> None:
    found = explorers[name]
    z = found.run.noise(140, seed=3)
    labels = np.arange(140) % 10 if found.run.model.classes else None
    whole = found.run.decode(z, labels)
    for n in (1, 5, 140):
        few = found.decode(z[:n], None if labels is None else labels[:n])
        assert few.dtype == np.uint8 and few.shape == (n, 1, 28, 28)
        assert np.abs(few.astype(int) - whole[:n]).max() <= 1
    assert len(np.unique(whole)) > 2


def test_principal_directions_come_from_the_codes_of_the_training_images(explorers) -> None:
    found = explorers["vae"]
    train = found.run.real("train")
    codes = found.run.encode(train.images)
    directions = found.directions("principal", 3)
    assert np.allclose(directions.center, codes.mean(axis=0), atol=1e-5)
    variances = np.linalg.eigvalsh(np.cov(codes.T, bias=True))[::-1]
    assert np.allclose(directions.scales**2, variances[:3], rtol=1e-3)


@pytest.mark.parametrize("name", ["ae", "cvae", "gan"])
def test_images_change_more_in_the_strongest_directions_than_in_the_weakest(name: str, explorers) -> None:
    found = explorers[name]
    whole = found.directions("strongest", 1000)
    z = found.run.noise(20, seed=9)
    labels = np.arange(20) % 10 if found.run.model.classes else None

    def change(axis: int) -> float:
        moved = found.run.decode(z + whole.axes[axis], labels).astype(float)
        return float(np.square(moved - found.run.decode(z, labels)).mean())

    ratio = change(0) / change(len(whole.axes) - 1)
    assert ratio > (1.1 if name == "cvae" else 2), "a VAE has hardly begun to use its latents"
    few = found.directions("strongest", 2)
    assert np.array_equal(few.axes, whole.axes[:2])


def test_random_directions_exist_wherever_latents_do(explorers) -> None:
    for name in ("vae", "gan", "flow"):
        found = explorers[name].directions("random", 2, seed=4)
        assert found.axes.shape[1:] == explorers[name].run.model.latent_shape


def test_means_of_classes_are_means_of_codes(explorers) -> None:
    for name in ("vae", "cvae"):
        run = explorers[name].run
        train = run.real("train")
        codes = run.encode(train.images, train.labels if run.model.classes else None)
        means = explorers[name].class_means()
        assert means.shape == (10, *run.model.latent_shape)
        assert np.allclose(means[7], codes[train.labels == 7].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "ask", "says"),
    [
        ("gan", lambda e: e.directions("principal"), "gan has no encoder: take the strongest or random directions"),
        ("gan", lambda e: e.class_means(), "gan has no encoder"),
        ("vq-vae", lambda e: e.directions("random"), "vq-vae has no latents"),
        ("vq-vae", lambda e: e.decode(np.zeros((1, 3))), "vq-vae has no latents"),
        ("vae", lambda e: e.decode(np.zeros((1, 3))), "latents must be finite numbers"),
        ("vae", lambda e: e.directions("largest"), "'random' or 'principal' or 'strongest'"),
        ("vae", lambda e: e.directions("random", 0), "number of directions"),
    ],
)
def test_what_a_model_does_not_have_is_said(name: str, ask, says: str, explorers) -> None:
    with pytest.raises(cf.InputError, match=says):
        ask(explorers[name])


def test_the_nearest_training_images_are_the_images_themselves_and_then_by_distance(explorers) -> None:
    found = explorers["vq-vae"]
    train = found.run.real("train")
    near = found.nearest(train.images[:6], 4)
    assert near.rows[:, 0].tolist() == [0, 1, 2, 3, 4, 5] and (near.distances[:, 0] == 0).all()
    features = found._neighbors.features.astype(float)
    ((_, square),) = squared_distances(features[:6], features)
    assert np.array_equal(near.rows, np.argsort(square, axis=1, kind="stable")[:, :4])
    assert np.allclose(near.distances, np.sqrt(np.sort(square, axis=1)[:, :4]))
    one = found.nearest(train.images[3:4], 10_000)
    assert one.rows.shape == (1, 600), "no more than there are"


def test_options_of_sampling_change_the_images_and_not_what_was_found(explorers) -> None:
    found = explorers["flow"]
    before = found.spread
    other = found.with_sampling(steps=1)
    z = found.run.noise(2)
    assert (
        np.array_equal(other.decode(z), other.run.decode(z))
        or np.abs(other.decode(z).astype(int) - other.run.decode(z)).max() <= 1
    )
    assert not np.array_equal(other.decode(z), found.decode(z))
    assert found.spread is before


def test_interpolation_may_be_spherical(explorers) -> None:
    run = explorers["gan"].run
    z = run.noise(4)
    straight, round_ = (run.interpolate(z[:2], z[2:], 5, path=path) for path in ("linear", "spherical"))
    assert np.array_equal(straight, run.interpolate(z[:2], z[2:], 5))
    assert np.abs(straight[:, [0, -1]].astype(int) - round_[:, [0, -1]]).max() <= 1
    assert not np.array_equal(straight[:, 2], round_[:, 2])
    with pytest.raises(cf.InputError, match="'linear' or 'spherical'"):
        run.interpolate(z[:2], z[2:], 5, path="curved")
