"""How a training begins: from any state that a kill leaves, and never over what is not its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.training import trainer
from counterfeit.training.session import fitting
from starts_cases import LEFT, NOT_OURS

SETTINGS = {"epochs": 2, "batch_size": 20, "latent": 2, "encoder_width": 8, "decoder_width": 8, "log_every": 1}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)


def train(images: np.ndarray, out: Path, **settings: object) -> cf.Run:
    return cf.train("vae", images, out=out, quiet=True, **{**SETTINGS, **settings})


def result(out: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, object]]]:
    """All tensors, and the log without what a clock decides."""
    groups = load_checkpoint(out / "checkpoint", ("model", "training", "ema"))
    rows = [{k: v for k, v in row.items() if k != "images_per_s"} for row in RunFolder(out).read_log()]
    return {f"{group}.{name}": tensor for group, named in groups.items() for name, tensor in named.items()}, rows


def assert_same(out: Path, other: Path) -> None:
    (tensors, log), (expected, expected_log) = result(out), result(other)
    assert tensors.keys() == expected.keys() and log == expected_log
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture(scope="module")
def whole(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    return train(images, tmp_path_factory.mktemp("whole") / "run").path


def killed(images: np.ndarray, out: Path) -> None:
    """A run that was left alone, as a kill does, after the first step of its second epoch."""
    config = MODELS["vae"].settings.replace({**SETTINGS, "data": "array"})
    events = trainer.Training("vae", config, RunFolder(out), array=images).events()
    next(event for event in events if event == trainer.Stepped(4, 6))
    events.close()


@pytest.mark.parametrize("name", LEFT)
def test_the_same_command_goes_on_from_what_a_kill_leaves(name: str, images, whole: Path, tmp_path: Path) -> None:
    killed(images, tmp_path / "run")
    LEFT[name](tmp_path / "run")
    run = train(images, tmp_path / "run")
    assert run.record.finished
    assert_same(tmp_path / "run", whole)
    assert contents(tmp_path / "run").keys() == contents(whole).keys(), "nothing is left of the killed one"


@pytest.mark.parametrize("name", [name for name in LEFT if not name.startswith("a checkpoint")])
def test_another_command_may_take_a_folder_without_a_checkpoint(name: str, images, tmp_path: Path) -> None:
    killed(images, tmp_path / "run")
    LEFT[name](tmp_path / "run")
    run = cf.train("gan", images, out=tmp_path / "run", quiet=True, **{**SETTINGS, "epochs": 1})
    assert run.model_name == "gan" and [row["step"] for row in run.log] == [1, 2, 3]
    assert {path.name for path in (tmp_path / "run" / "samples").iterdir()} == {"epoch-0001.png"}


def test_another_command_does_not_take_a_folder_with_a_checkpoint(images, tmp_path: Path) -> None:
    killed(images, tmp_path / "run")
    before = contents(tmp_path / "run")
    for settings in ({"epochs": 3}, {"seed": 1}):
        with pytest.raises(cf.InputError, match="contains another run"):
            train(images, tmp_path / "run", **settings)
    with pytest.raises(cf.InputError, match="other images"):
        train(255 - images, tmp_path / "run")
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("name", NOT_OURS)
def test_what_is_not_ours_is_refused_and_left_alone(name: str, images, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    NOT_OURS[name](tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(cf.InputError):
        train(images, tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_an_error_at_the_start_leaves_nothing_in_the_way(images, tmp_path: Path) -> None:
    with pytest.raises(cf.InputError, match="--batch-size is 1, and dcgan has batch normalization"):
        cf.train("dcgan", images.repeat(2, 1).repeat(2, 2), out=tmp_path / "run", batch_size=1)
    assert not (tmp_path / "run").exists()
    with pytest.raises(cf.InputError, match="became"):
        train(images, tmp_path / "run", lr=1e30)
    assert train(images, tmp_path / "run").record.finished


def test_whoever_waits_for_data_does_not_write_over_who_came_in_between(
    images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find the folder free; the second gets its data when the first has finished."""
    read, before = trainer.to_train_on, {}

    def slow(*given: object) -> object:
        monkeypatch.setattr(trainer, "to_train_on", read)
        train(images, tmp_path / "run")
        before.update(contents(tmp_path / "run"))
        return read(*given)

    monkeypatch.setattr(trainer, "to_train_on", slow)
    with pytest.raises(cf.InputError, match="contains another run"):
        train(images, tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_whoever_resumes_does_not_go_back_behind_who_came_in_between(images, whole: Path, tmp_path: Path) -> None:
    killed(images, tmp_path / "run")
    config = MODELS["vae"].settings.replace({**SETTINGS, "data": "array"})
    late = trainer.Training("vae", config, RunFolder(tmp_path / "run"), resume=True, array=images)
    train(images, tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(cf.InputError, match="another process has trained in .* in the meantime"):
        list(late.events())
    assert contents(tmp_path / "run") == before
    assert_same(tmp_path / "run", whole)


def test_a_second_training_is_refused_while_the_first_is_at_work(images, whole: Path, tmp_path: Path) -> None:
    config = MODELS["vae"].settings.replace({**SETTINGS, "data": "array"})
    events = fitting("vae", config, RunFolder(tmp_path / "run"), quiet=True, array=images)
    for event in events:
        if isinstance(event, trainer.EpochEnded):
            for resume in (False, True):
                with pytest.raises(cf.InputError, match="another process is training in"):
                    train(images, tmp_path / "run", resume=resume)
    assert_same(tmp_path / "run", whole)


def test_a_checkpoint_takes_nothing_of_others_with_it(images, whole: Path, tmp_path: Path) -> None:
    """Folders that programs make, notes, links: also where `checkpoint` itself is a link to somebody's folder."""
    for linked in (False, True):
        out, thesis = tmp_path / f"run-{linked}", tmp_path / f"thesis-{linked}"
        killed(images, out)
        thesis.mkdir()
        (thesis / "chapter.tex").write_text("One")
        (thesis / "model-0000001.safetensors").write_text("of another run")
        place = out / "checkpoint"
        if linked:
            for path in place.iterdir():
                path.rename(thesis / path.name)
            place.rmdir()
            place.symlink_to(thesis)
        else:
            (place / "model-0000002.safetensors").symlink_to(thesis / "model-0000001.safetensors")
        for name in (".ipynb_checkpoints", "@eaDir", "model-0000009.safetensors"):
            (place / name).mkdir()
        (place / "notes.txt").write_text("mine")
        kept = contents(place)
        train(images, out, resume=True)
        assert_same(out, whole)
        after = contents(place)
        ours = {name for name in kept if name.startswith(("model-0000003", "training-0000003")) and not linked}
        assert kept.keys() - after.keys() == ours
        assert all(after[name] == kept[name] for name in kept.keys() - ours - {"checkpoint.json"})
        assert (thesis / "chapter.tex").read_text() == "One"


GRID = """
models = ["vae"]
data = ["own.npz"]
out = "{out}"
[train]
epochs = 1
batch_size = 20
[score]
n = 20
metrics = ["fid"]
detector = "mnist-cnn"
"""


def test_a_grid_at_a_file_url_is_a_folder_and_nothing_is_trained_for_memory(images, tmp_path: Path, command) -> None:
    np.savez("own.npz", images=images)
    for url, where in ((f"file://{tmp_path}/a%20b", "a b"), (f"file://localhost{tmp_path}/c", "c")):
        Path("grid.toml").write_text(GRID.format(out=url))
        outcome = command("compare", "grid.toml")
        assert outcome.code == 0, outcome.err
        assert json.loads((tmp_path / where / "comparison.json").read_text())["failures"] == []
        assert RunFolder(tmp_path / where / "vae-own-s0").finished()
    Path("grid.toml").write_text(GRID.format(out="memory://x"))
    outcome = command("compare", "grid.toml")
    (line,) = outcome.err.splitlines()
    assert outcome.code == 2 and "memory://x disappears when this process ends: pass a folder" in line


def test_code_in_the_folder_where_a_command_is_started_is_not_run(images, tmp_path: Path) -> None:
    np.savez("own.npz", images=images)
    Path("grid.toml").write_text(GRID.format(out="grid") + "[train.vae]\nlatent = 2\n")
    for name in ("numpy", "torch", "tyro", "safetensors", "queue", "socket", "msgspec"):
        Path(f"{name}.py").write_text(f"open('was-run', 'a').write('{name} ')\nraise SystemExit(7)\n")
    command = [sys.executable, "-m", "counterfeit", "compare", "grid.toml", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert not Path("was-run").exists(), Path("was-run").read_text()
    assert done.returncode == 0, done.stderr


def test_a_reader_beside_a_writer_finds_a_whole_checkpoint(tmp_path: Path) -> None:
    from counterfeit.runs.checkpoint import read_checkpoint, save_checkpoint

    ended = threading.Event()

    def states() -> Iterator[int]:
        yield from range(1, 80)
        ended.set()

    def write() -> None:
        for step in states():
            value = torch.full((1000,), float(step))
            save_checkpoint(tmp_path, {"model": {"w": value}, "training": {"w": value}}, step, 0)

    def check() -> None:
        index, groups = read_checkpoint(tmp_path, ("model", "training"))
        assert all(bool((named["w"] == index.step).all()) for named in groups.values())

    save_checkpoint(tmp_path, {"model": {"w": torch.zeros(1000)}, "training": {"w": torch.zeros(1000)}}, 0, 0)
    writer = threading.Thread(target=write)
    writer.start()
    while not ended.is_set():
        check()
    writer.join()


@pytest.mark.parametrize("binarize", ["none", "static"])
def test_images_that_are_replaced_under_a_training_are_not_trained_on(
    binarize: str, cache: Path, tmp_path: Path, capsys
) -> None:
    """In the cache, cut short too: a map of such a file kills the process that looks at it."""
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)):
        Image.fromarray(image).save(tmp_path / "photos" / f"{i}.png")
    config = MODELS["vae"].settings.replace({**SETTINGS, "data": "photos", "binarize": binarize})

    def train() -> None:
        for event in trainer.Training("vae", config, RunFolder(tmp_path / "run")).events():
            if isinstance(event, trainer.EpochEnded):
                (stored,) = cache.glob("folders/*/images.npy")
                stored.write_bytes(stored.read_bytes()[:200])

    if binarize == "static":  # drawn at the start: only a picture asks for the images again
        train()
        assert "its content is not what was stored" in capsys.readouterr().err
        return
    with pytest.raises(cf.InputError, match="its content is not what was stored"):
        train()


def test_images_are_read_without_pytorch() -> None:
    """It takes seconds and 100 MiB, which a folder of images need not wait for."""
    code = "import sys, counterfeit as cf; cf.load_data; import counterfeit.data; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
