"""What is wrong is found before anything is trained or drawn: one line, exit code 2, and nothing on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from counterfeit.errors import InputError
from counterfeit.models import MODELS
from counterfeit.models.build import build_named
from counterfeit.settings import RunSettings, ScoreConfig
from counterfeit.system import memory
from counterfeit.system.device import pick_device
from counterfeit.training import sample_grids
from counterfeit.training.trainer import Training
from value_cases import DEVICES, GRID, GRID_FILES, GRID_VALUES

Command = Callable[..., object]


def refused(outcome, says: str) -> None:
    lines = outcome.err.strip().splitlines()
    assert outcome.code == 2 and "Traceback" not in outcome.err, outcome.err
    assert says in lines[-1] and len(lines[-1]) < 700 and not Path("runs").exists(), outcome.err


@pytest.mark.parametrize("name", GRID_FILES)
def test_a_file_that_is_no_grid(name: str, command: Command) -> None:
    content, says = GRID_FILES[name]
    Path("bad.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(command("compare", "bad.toml"), says)


@pytest.mark.parametrize("path", ["pipe.toml", "device.toml", "folder.toml"])
def test_what_is_no_regular_file_is_not_opened(path: str, command: Command) -> None:
    os.mkfifo("pipe.toml")  # opening it would wait for a writer
    Path("device.toml").symlink_to("/dev/zero")
    Path("folder.toml").mkdir()
    refused(command("compare", path), "not a regular file")


def grid(field: str, value: str) -> str:
    """The right grid with one field changed or added."""
    *table, name = field.split(".")
    lines = [f"{key} = {usual}" for key, usual in GRID.items() if key != field]
    added = f"[{'.'.join(table)}]\n{name} = {value}" if table else ""
    return "\n".join([*lines, *([] if table else [f"{name} = {value}"]), added])


@pytest.mark.parametrize(("field", "value", "says"), GRID_VALUES, ids=lambda text: str(text)[:30])
def test_every_fault_of_a_grid_is_found_before_a_member_is_trained(
    field: str, value: str, says: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "events", lambda self, stop: pytest.fail("a member is trained"))
    Path("bad.toml").write_text(grid(field, value))
    refused(command("compare", "bad.toml"), says)


def test_one_text_is_a_list_of_names_too(command: Command) -> None:
    Path("grid.toml").write_text('models = "vae, gan"\ndata = "mnist5k"\nseeds = 3\n[score]\nmetrics = "FID, kid"\n')
    from counterfeit.comparison.grid import read_grid

    found = read_grid("grid.toml")
    assert [(member.model, member.config.seed) for member in found.members] == [("vae", 3), ("gan", 3)]
    assert found.score == ScoreConfig(metrics=["FID", "kid"])


@pytest.mark.parametrize("metrics", ["FID, kid", "fid,KID", ["FID", "Kid"], ("fid, kid",), np.array(["fid", "kid"])])
def test_metrics_in_any_case_and_form(metrics: object) -> None:
    from counterfeit.scoring.judge import asked_metrics

    assert asked_metrics(ScoreConfig(metrics=metrics)) == ["fid", "kid"]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_that_is_none_of_ours_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match="--device") as error:
        pick_device(name)
    assert "\n" not in str(error.value)


SEEDED: dict[str, Callable[[int], object]] = {
    "train": lambda seed: RunSettings(seed=seed),
    "score": lambda seed: ScoreConfig(seed=seed),
    "repeats": lambda seed: ScoreConfig(seed=seed - 2, repeats=3),
}


@pytest.mark.parametrize("name", SEEDED)
def test_every_seed_has_one_range(name: str) -> None:
    SEEDED[name](2**63 - 1)
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match="--seed"):
            SEEDED[name](seed)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cf.Run:
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28), np.uint8)
    settings = {"epochs": 1, "batch_size": 8, "latent": 4, "encoder_width": 4, "decoder_width": 4, "device": "cpu"}
    labels = np.arange(16) % 4
    return cf.train("cvae", images, labels=labels, out=tmp_path_factory.mktemp("r") / "run", quiet=True, **settings)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_largest_seed_is_drawn_with(seed: int, run: cf.Run) -> None:
    assert run.sample(3, seed=seed).shape == (3, 1, 28, 28) and run.noise(3, seed=np.int64(seed)).shape == (3, 4)
    images = run.sample(8)
    score = cf.score(run, images, n=4, seed=seed, detector="mnist-cnn", metrics="fid", device="cpu")
    assert score.receipt["generated"]["seed"] == seed


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_out_of_range_is_refused_by_all(seed: int, run: cf.Run) -> None:
    calls = (
        run.sample,
        run.noise,
        lambda n, seed: next(run.sample_batches(n, seed=seed)),
        lambda n, seed: cf.sample(run, n, seed=seed, out="x.png"),
        lambda n, seed: run.likelihood(1, 1, images=run.sample(2), labels=[0, 1], seed=seed),
    )
    for call in calls:
        with pytest.raises(InputError, match="seed"):
            call(2, seed=seed)


@pytest.mark.parametrize("n", [2**31 - 1, 10**12, 10**30])
def test_more_samples_than_memory(n: int, run: cf.Run, command: Command) -> None:
    for call in (run.sample, run.noise, run.labels):
        if n > 2**31 or call is run.sample:
            with pytest.raises(InputError):
                call(n)
    outcome = command("sample", run.path, "-n", n, "--out", "many.png")
    assert outcome.code == 2 and not Path("many.png").exists(), outcome.err


def test_memory_is_known_here_and_counted_in_bytes() -> None:
    there = memory.available()
    assert there and 2**20 < there < 2**50
    model = build_named("vae", (1, 28, 28))
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    assert memory.in_training(model, average=False) == 4 * weights
    assert memory.in_training(model, average=True) == 5 * weights
    assert [memory.in_bytes(n) for n in (3, 999, 2**20, 10**13)] == ["3 bytes", "999 bytes", "1.0 MiB", "9.1 TiB"]


@pytest.mark.parametrize("ending", ["png", "PNG", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"])
def test_a_picture_is_written_in_the_format_of_its_ending(ending: str, run: cf.Run) -> None:
    path = cf.sample(run, 8, out=f"grid.{ending}")
    with Image.open(path) as picture:
        expected = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(ending.lower(), ending.upper())
        assert picture.format == expected and picture.size == (4 * 58 + 2, 2 * 58 + 2)


def test_arrays_alone(run: cf.Run) -> None:
    assert np.array_equal(np.load(cf.sample(run.path, 8, out="eight.npy")), run.sample(8))


@pytest.mark.parametrize("name", ["grid.pt", "grid.svg", "grid.h5", "grid.zip", "a.b.mp4", "grid.pdf"])
def test_an_ending_that_is_none_of_ours_becomes_no_folder(name: str, run: cf.Run, command: Command) -> None:
    outcome = command("sample", run.path, "-n", 4, "--out", name)
    assert outcome.code == 2 and ".webp" in outcome.err and not Path(name).exists()
    assert not list(Path().glob(f".{name}*"))


@pytest.mark.parametrize("name", ["run-v1.5", "2024.01", "a.longer-name", "grid.pt/"])
def test_a_folder_may_have_a_point_in_its_name(name: str, run: cf.Run) -> None:
    assert len(list(cf.sample(run, 4, out=name).rglob("*.png"))) == 4


@pytest.mark.parametrize("classes", [10, 21, 150, 3000])
def test_a_sample_grid_of_many_classes_can_be_looked_at(classes: int, tmp_path: Path) -> None:
    """Of 3,000 classes it was 174,002 pixels wide; a screen has some 2,000 to 4,000."""
    model = build_named("cvae", (1, 28, 28), classes).eval()
    sample_grids.draw_samples(tmp_path / "grid.png", model, 0, MODELS["cvae"].sampling)
    with Image.open(tmp_path / "grid.png") as picture:
        assert max(picture.size) <= 1200
        assert picture.size[0] == 58 * min(classes, sample_grids.MOST_COLUMNS) + 2
