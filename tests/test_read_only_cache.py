"""A cache that can only be read: what it has is taken, and what it has not costs the caching only."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import filelock
import numpy as np
import pytest
from PIL import Image

from counterfeit import data
from counterfeit.data import cache as module
from counterfeit.data import folder, named
from counterfeit.errors import DataError
from counterfeit.scoring import kept as kept_module
from counterfeit.scoring.kept import kept

KEY = "0" * 32


@pytest.fixture
def read_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache on a disk that is mounted so, which root cannot write to either."""
    acquire = filelock.FileLock.acquire

    def refused(lock: filelock.FileLock, *arguments: object, **options: object) -> object:
        if Path(lock.lock_file).is_relative_to(cache):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return acquire(lock, *arguments, **options)  # type: ignore[arg-type]

    module._say_once.cache_clear()
    monkeypatch.setattr(module, "_made_in", module.cache(module._made_in.__wrapped__))  # a stand-in of this test
    monkeypatch.setattr(module.FileLock, "acquire", refused)
    return cache


def ones() -> dict[str, np.ndarray]:
    return {"ones": np.ones(3)}


def photos(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)).save(root / f"{i}.png")
        os.utime(root / f"{i}.png", (1e9, 1e9))
    return root


def test_features_are_computed_and_kept_for_the_process(read_only: Path, capsys) -> None:
    for _ in range(2):
        assert kept("features", KEY, ("ones",), "features of a test", ones)["ones"].sum() == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "cannot be written to (Read-only file system)" in lines[0]
    assert not [path for path in read_only.rglob("*") if path.is_file()]


def test_features_that_it_has_are_taken(cache: Path, request, capsys) -> None:
    kept("features", KEY, ("ones",), "features of a test", ones)
    request.getfixturevalue("read_only")
    kept("features", KEY, ("ones",), "features of a test", lambda: pytest.fail("computed again"))
    assert capsys.readouterr().err == ""


def test_features_that_fill_the_disk_are_good_all_the_same(cache: Path, monkeypatch, capsys) -> None:
    def full(path: Path, content: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kept_module, "write_atomic", full)
    assert kept("features", KEY, ("ones",), "features of a test", ones)["ones"].sum() == 3
    assert "not cached for the next time" in capsys.readouterr().err


def test_a_folder_is_converted_for_the_process(root: Path, read_only: Path, monkeypatch, capsys) -> None:
    images = data.load(photos(root))
    monkeypatch.setattr(folder, "convert", lambda *_: pytest.fail("converted again"))
    assert np.array_equal(data.load(root).images, images.images) and len(images) == 12
    assert capsys.readouterr().err.count("cannot be written to") == 1
    assert not [path for path in read_only.rglob("*") if path.is_file()]


def test_a_folder_that_was_copied_since_it_was_converted(root: Path, cache: Path, request, monkeypatch, capsys) -> None:
    """Its content is known to the cache, and its files' stamps are not."""
    digest = data.load(photos(root)).digest
    shutil.copytree(root, root.parent / "copy")
    request.getfixturevalue("read_only")
    monkeypatch.setattr(folder, "convert", lambda *_: pytest.fail("converted again"))
    assert data.load(root.parent / "copy").digest == digest


def test_a_data_set_is_fetched_for_the_process(read_only: Path, test_cache: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(test_cache))
    data.load("mnist5k")
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(read_only))

    def fetch(of: named.DataSet, place: Path) -> None:
        for pair in of.files.values():
            for file in pair:
                shutil.copy(test_cache / of.name / file.name, place / file.name)

    monkeypatch.setattr(named, "_fetch", fetch)
    assert len(data.load("mnist5k")) == 5000
    monkeypatch.setattr(named, "_fetch", lambda *_: pytest.fail("fetched again"))
    assert len(data.load("mnist5k")) == 5000


def test_a_cache_that_is_a_file_is_a_mistake(cache: Path) -> None:
    cache.write_text("")
    with pytest.raises(DataError, match="set COUNTERFEIT_CACHE to another folder"):
        kept("features", KEY, ("ones",), "features of a test", ones)


def test_a_user_without_a_home_has_a_cache_for_the_process(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COUNTERFEIT_CACHE")
    for found in ("~/.cache/counterfeit", RuntimeError("no home"), KeyError("uid not found")):

        def place(*_: object, found: object = found, **__: object) -> Path:
            if isinstance(found, Exception):
                raise found
            return Path(str(found))

        monkeypatch.setattr(module.platformdirs, "user_cache_path", place)
        assert module.cache_dir() == module.stand_in() and module.cache_dir().is_dir()
    assert not any(tmp_path.iterdir())


def test_nowhere_to_write_at_all(monkeypatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(module, "_made_in", nowhere)
    with pytest.raises(DataError, match="TMPDIR"):
        module.stand_in()
