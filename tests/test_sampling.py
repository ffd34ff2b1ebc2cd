"""Samples: seeded, independent of batch size, the same after save and load; what each model can do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit import sampling
from counterfeit.api.sample import sample
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.models.build import able, build_named
from counterfeit.system.noise import Noise
from loop_cases import KINDS, can

every_model = pytest.mark.parametrize("name", KINDS)
with_latents = [name for name in KINDS if can(name, HasLatents)]
encoding = [name for name in KINDS if can(name, Encodes)]


@pytest.fixture
def runs(every_kind) -> dict[str, cf.Run]:
    return every_kind


@every_model
def test_the_same_seed_gives_the_same_images_whatever_the_batch_size(name: str, runs) -> None:
    run = runs[name]
    whole = run.sample(140, seed=5)
    assert whole.shape == (140, 1, 28, 28) and whole.dtype == np.uint8
    for n, batch_size in ((10, 1), (140, 7), (140, 128), (140, 129), (140, 1000)):
        batches = list(run.sample_batches(n, seed=5, batch_size=batch_size))
        assert all(len(batch) <= batch_size for batch in batches)
        assert np.array_equal(np.concatenate(batches), whole[:n])
    assert np.array_equal(run.sample(10, seed=5), whole[:10]), "fewer samples are the first of more"
    assert not np.array_equal(run.sample(140, seed=6), whole)


@every_model
def test_a_loaded_run_gives_the_same_images(name: str, runs) -> None:
    loaded = cf.load(runs[name].path)
    assert np.array_equal(loaded.sample(20, seed=1), runs[name].sample(20, seed=1))


def test_a_message_names_the_class_that_the_caller_knows(runs) -> None:
    with pytest.raises(cf.InputError, match=r"^Run\.sample: n is 'many'; it must be a whole number$"):
        runs[KINDS[0]].sample("many")


@pytest.mark.parametrize("name", with_latents)
def test_decoding_the_noise_gives_the_samples(name: str, runs) -> None:
    run = runs[name]
    assert np.array_equal(run.decode(run.noise(200, seed=2)), run.sample(200, seed=2))


@pytest.mark.parametrize("name", with_latents)
def test_interpolation_starts_and_ends_where_it_should(name: str, runs) -> None:
    run = runs[name]
    z = run.noise(6, seed=0)
    labels = np.arange(3) if run.model.classes else None
    lines = run.interpolate(z[:3], z[3:], steps=5, labels=labels)
    assert lines.shape == (3, 5, 1, 28, 28)
    # The blocks are filled differently, so the last bit of a float, and so one gray level, may differ.
    for got, want in ((lines[:, 0], run.decode(z[:3], labels)), (lines[:, -1], run.decode(z[3:], labels))):
        assert np.abs(got.astype(int) - want).max() <= 1


@pytest.mark.parametrize("name", encoding)
def test_who_encodes_also_reconstructs(name: str, runs, digits) -> None:
    images, labels = digits[0][:150], digits[1][:150]
    run = runs[name]
    given = labels if run.model.classes else None
    z = run.encode(images, given)
    assert len(z) == 150
    if isinstance(run.model, HasLatents):
        assert z.shape[1:] == run.model.latent_shape
        assert np.array_equal(run.reconstruct(images, given), run.decode(z, given))
    assert np.array_equal(run.encode(images[:5], given if given is None else given[:5]), z[:5])


@pytest.mark.parametrize("name", [name for name in KINDS if name not in encoding])
def test_who_cannot_encode_says_so(name: str, runs, digits) -> None:
    with pytest.raises(cf.InputError, match=f"{name} has no encoder: {able(Encodes)} can encode and reconstruct"):
        runs[name].encode(digits[0][:2])


def test_labels_choose_the_class_and_come_in_turn_by_default(runs) -> None:
    run = runs["cvae"]
    assert run.labels(12).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    threes = run.sample(20, seed=0, labels=3)
    assert np.array_equal(run.sample(20, seed=0, labels=[3] * 20), threes)
    assert not np.array_equal(run.sample(20, seed=0, labels=4), threes)


@pytest.mark.parametrize(
    ("name", "labels", "says"),
    [
        ("vae", 3, "not trained with labels"),
        ("cvae", 10, "label 10 is out of range: this model knows 0 to 9"),
        ("cvae", -1, "label -1 is out of range"),
        ("cvae", [1, 2], "2 labels were given for 5 images"),
        ("cvae", 1.5, "labels must be integers"),
    ],
)
def test_wrong_labels_are_refused(name: str, labels, says: str, runs) -> None:
    with pytest.raises(cf.InputError, match=says):
        runs[name].sample(5, labels=labels)


def test_the_command_writes_grids_files_and_folders(runs, tmp_path: Path, command) -> None:
    run = runs["cvae"]
    grid = command("sample", run.path, "-n", 20, "--label", 7, "--out", tmp_path / "deep" / "grid.png")
    assert grid.code == 0
    with Image.open(grid.out.strip()) as picture:
        assert picture.mode == "L"
    command("sample", run.path, "-n", 20, "--label", 7, "--seed", 4, "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        assert np.array_equal(file["images"], run.sample(20, seed=4, labels=7))
        assert (file["labels"] == 7).all()
    command("sample", run.path, "-n", 12, "--seed", 4, "--out", tmp_path / "folder")
    files = sorted((tmp_path / "folder").rglob("*.png"), key=lambda p: p.name)
    images = np.stack([read_png(p) for p in files])
    assert np.array_equal(images, run.sample(12, seed=4)[:, 0])
    assert [p.parent.name for p in files] == [str(label) for label in run.labels(12)]


def read_png(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_the_samples_folder_of_an_unconditional_model_is_flat(runs, tmp_path: Path, command) -> None:
    assert command("sample", runs["gan"].path, "-n", 3, "--out", tmp_path / "flat").code == 0
    assert sorted(p.name for p in (tmp_path / "flat").iterdir()) == ["0.png", "1.png", "2.png"]


def test_mean_terms_do_not_depend_on_the_batch_but_for_rounding(digits) -> None:
    """The noise is drawn batch by batch, so the KL, which has no noise, is what must agree."""
    model = build_named("vae", (1, 28, 28)).eval()
    one = sampling.mean_terms(model, digits[0], None, seed=0, batch_size=1000)
    two = sampling.mean_terms(model, digits[0], None, seed=0, batch_size=77)
    assert one["kl"] == pytest.approx(two["kl"], rel=1e-5)


def test_the_images_that_a_run_was_trained_on_are_not_written_over(digits, tmp_path: Path) -> None:
    source = tmp_path / "own.npz"
    np.savez(source, images=digits[0][:100])
    run = cf.train("ae", source, epochs=1, batch_size=50, out=tmp_path / "run", quiet=True)
    before = source.read_bytes()
    with pytest.raises(cf.InputError, match="was trained on"):
        sample(run, 4, out=source)
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", [name for name in with_latents if name != "ae"])
def test_samples_of_a_runs_seed_are_not_the_noise_that_it_was_trained_on(name: str) -> None:
    """A generator knows that noise: images of it are better than those of noise that it has never seen."""
    model = build_named(name, (1, 28, 28), 10)
    trained_on = model.noise(sampling.BLOCK, Noise.seeded(0))
    # of 24 bits each, so that some are equal by chance
    assert np.isin(sampling.noise(model, sampling.BLOCK, 0), trained_on.numpy()).mean() < 0.01
    assert np.array_equal(sampling.noise(model, 200, 0)[:100], sampling.noise(model, 100, 0))
