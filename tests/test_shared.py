"""Runs at a URL: whole after every object that is written or removed, and the same files as a local run's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.runs.checkpoint import read_index
from counterfeit.runs.shared import Copy, joined, opened, write
from counterfeit.training.session import fitting
from counterfeit.training.trainer import EpochEnded

URL = "memory://bucket/runs/vae-s1"
CONFIG = MODELS["vae"].settings.replace({"data": "mnist5k", "epochs": 2, "ema": 0.9})


@pytest.fixture(autouse=True)
def empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])


def files(root: Path) -> dict[str, bytes]:
    paths = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_a_run_at_a_url_is_whole_after_every_change_of_it(monkeypatch, tmp_path: Path) -> None:
    """What a kill would leave there is fetched after each object, and must be nothing, or a run that can go on."""
    steps: list[int | None] = []

    def look() -> None:
        scratch = tmp_path / f"look-{len(steps)}"
        scratch.mkdir()
        folder = Copy(URL, scratch).folder
        if not folder.holds_run():
            assert not any(scratch.iterdir())
            return steps.append(None)
        index = read_index(folder.checkpoint)
        assert index is not None and load_checkpoint(folder.checkpoint, index.files).keys() == index.files.keys()
        assert folder.read_log()[-1]["step"] >= index.step
        assert not folder.finished() or index.epoch == CONFIG.epochs
        steps.append(index.step)

    def and_look(do: Callable[..., None]) -> Callable[..., None]:
        def doing(self: MemoryFileSystem, *given: object, **named: object) -> None:
            do(self, *given, **named)
            look()

        return doing

    with monkeypatch.context() as watched, opened(URL) as place:
        for name in ("put_file", "rm_file"):
            watched.setattr(MemoryFileSystem, name, and_look(getattr(MemoryFileSystem, name)))
        with closing(fitting("vae", CONFIG, place.folder, quiet=True)) as events:
            for event in events:
                if isinstance(event, EpochEnded):
                    place.publish()
        place.publish()
        made = files(place.folder.path)
        assert place.folder.finished()
    assert not place.folder.path.exists(), "the copy is removed"
    assert None in steps and steps == sorted(steps, key=lambda step: step or 0) and set(steps) == {None, 39, 78}
    with opened(URL) as again:
        assert files(again.folder.path) == made and any(name.endswith(".png") for name in made)
        monkeypatch.setattr(MemoryFileSystem, "put_file", None)
        again.publish()  # nothing has changed: nothing is written


def test_other_objects_are_left_alone_and_neighbors_are_not_mixed_up(tmp_path: Path) -> None:
    write("memory://bucket/runs/vae-s1/notes.txt", b"mine")
    write("memory://bucket/runs/vae-s10/run.json", b"{}")
    with opened(URL) as place:
        assert not place.folder.holds_run() and not any(place.folder.path.iterdir())
        place.folder.log_file.write_bytes(b"")
        place.publish()
    assert sorted(MemoryFileSystem.store) == [
        *("/bucket/runs/vae-s1/log.jsonl", "/bucket/runs/vae-s1/notes.txt", "/bucket/runs/vae-s10/run.json")
    ]


def test_errors_name_the_url_and_not_the_copy() -> None:
    write(f"{URL}/run.json", b"{")
    with pytest.raises(cf.InputError, match=f"{URL}/run.json cannot be read"), opened(URL) as place:
        place.folder.read_record()
    with pytest.raises(cf.InputError, match="s4://x cannot be used"), opened("s4://x"):
        pass


def test_a_local_path_is_worked_on_where_it_is(tmp_path: Path) -> None:
    with opened(str(tmp_path)) as place:
        place.publish()
        assert isinstance(place.folder, RunFolder) and place.folder.path == tmp_path
    assert joined("runs/x/", "y") == "runs/x/y" and joined("s3://b/x/", "y") == "s3://b/x/y"
