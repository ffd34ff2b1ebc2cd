"""Run folders at an fsspec URL, such as `s3://bucket/runs/mine`; work is done in a local copy.

An object store cannot rename or append: an object is complete or absent, and several objects cannot change together.
Therefore a copy is published in an order that leaves a complete, resumable run after every object: first the files that
nothing refers to yet (names of tensor files contain the step; a log may be ahead of its checkpoint), then
`checkpoint.json`, which names the tensor files, then `run.json`, which says whether the run is finished. Tensor files
that are no longer named are removed last.

A URL is not locked against processes on other machines: the user must not run two grids into it at once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import filelock

from counterfeit.data.cache import cache_dir
from counterfeit.errors import InputError, RunError
from counterfeit.runs.checkpoint import INDEX
from counterfeit.runs.folder import RunFolder, parsed
from counterfeit.system import paths
from counterfeit.system.console import say
from counterfeit.system.files import Stamp, stamp, write_atomic
from counterfeit.system.text import reason

FLEETING = ("memory", "data")  # fsspec protocols that store nothing
PROBE = ".counterfeit-can-write"  # a file name
PATIENCE = 20  # seconds for a stopped or killed process to release its run


class Local:
    """A run in a local folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def publish(self) -> None:
        """Do nothing: the run is already in place."""


class Copy:
    """A local copy of the run at a URL.

    Attributes:
        folder: the copy; the files at the URL are downloaded into it on construction.
    """

    def __init__(self, url: str, scratch: Path) -> None:
        self.folder = RunFolder(scratch)
        self._url = url
        with _reaching(url):
            self._files, self._root = _open(url)
            paths = [path.removeprefix(self._root).lstrip("/") for path in self._files.find(self._root)]
            names = [name for name in paths if name and ".." not in Path(name).parts]
            if self.folder.record_file.name in names:  # otherwise the first upload was interrupted: no run yet
                for name in names:
                    (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                self._files.get([f"{self._root}/{name}" for name in names], [str(scratch / name) for name in names])
        self._there = {name: _stamp(scratch / name) for name in names}

    def publish(self) -> None:
        """Update the URL from the copy. Raises RunError if it cannot be written; the run there remains complete."""
        here = {
            str(path.relative_to(self.folder.path)): _stamp(path)
            for path in sorted(self.folder.path.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }
        changed = sorted((name for name in here if self._there.get(name) != here[name]), key=_turn)
        with _reaching(self._url):
            for name in changed:
                self._files.put_file(str(self.folder.path / name), f"{self._root}/{name}")
            old = [name for name in self._there if name not in here and name.startswith("checkpoint/")]
            if old:
                self._files.rm([f"{self._root}/{name}" for name in old])
        self._there = here


def joined(folder: str, name: str) -> str:
    """Join a folder, which may be a URL, and a name."""
    return f"{folder.rstrip('/')}/{name}" if paths.is_url(folder) else str(Path(paths.typed(folder)) / name)


@contextmanager
def opened(path: str) -> Iterator[Local | Copy]:
    """Open the run at a path or URL as a folder to work in; for a URL, this is a copy that is removed at the end.

    If another process on this machine holds the run, wait a little: it may have been killed and be about to end. Raises
    RunError if the URL cannot be reached, or is held. In errors from the block, the copy's path is replaced by the URL.
    """
    if not paths.is_url(path):
        place = Local(RunFolder(path))
        place.folder.wait_until_free(PATIENCE)
        yield place
        return
    with _held(path), tempfile.TemporaryDirectory(prefix="counterfeit-", ignore_cleanup_errors=True) as scratch:
        try:
            yield Copy(path, Path(scratch))
        except InputError as error:
            raise type(error)(str(error).replace(scratch, path)) from None


@contextmanager
def _held(url: str) -> Iterator[None]:
    """Lock a URL against other processes on this machine; it is not locked against other machines."""
    name = f"{hashlib.sha256(url.encode(errors='surrogateescape')).hexdigest()[:32]}.lock"
    lock = filelock.FileLock(cache_dir() / "urls" / name, timeout=PATIENCE)
    try:
        with ExitStack() as held:
            try:
                (cache_dir() / "urls").mkdir(parents=True, exist_ok=True)
                held.enter_context(lock)
            except filelock.Timeout:
                raise
            except OSError as error:
                say(
                    f"{url} is not locked against other processes: {cache_dir()} cannot be written to ({reason(error)})"
                )
            yield
    except filelock.Timeout:
        raise RunError(
            f"another process is working on {url}: wait for it, or choose another out for the grid"
        ) from None


def finished(path: str) -> bool:
    """Whether there is a finished run at a path or URL. For estimates only: a damaged run counts as not finished."""
    try:
        if not paths.is_url(path):
            return RunFolder(path).finished()
        with _reaching(path):
            files, root = _open(path)
            return parsed(files.cat_file(f"{root}/run.json")).finished is not None
    except InputError:
        return False


def write(path: str, content: bytes) -> None:
    """Write a file at a path, whose folder is created, or at a URL: completely or not at all. Raises RunError."""
    if paths.is_url(path):
        with _reaching(path):
            files, place = _open(path)
            files.pipe_file(place, content)
        return
    try:
        paths.absolute(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(paths.absolute(path), content)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror or error}): pass another --out") from None


def check(folder: str) -> None:
    """Raise RunError if a URL is not writable or stores nothing, so that this is found before hours of training.

    A local folder is created when it is written to.
    """
    if not paths.is_url(folder):
        return
    protocol = folder.partition("://")[0]
    if protocol in FLEETING:
        raise RunError(
            f"{folder} disappears when this process ends: pass a folder, or a store such as s3://bucket/mine"
        )
    with _reaching(folder):
        files, root = _open(folder)
        files.find(root)
        files.pipe_file(f"{root}/{PROBE}", b"")
        files.rm_file(f"{root}/{PROBE}")


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec  # installed with torch; used only here

    files, root = fsspec.url_to_fs(url, use_listings_cache=False)
    return files, root.rstrip("/")


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Raise RunError for the errors of any store, which have different types."""
    protocol = url.partition("://")[0]
    try:
        yield
    except ImportError as error:
        extra = "pip install 'counterfeit[s3]'" if protocol in ("s3", "s3a") else str(error)
        raise RunError(f"{url} needs a package for {protocol}:// that is not installed: {extra}") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{url} cannot be used ({reason[:200]}): check the address and your rights there") from None


def _turn(name: str) -> int:
    """The position of a file in the order of publication; see the module docstring."""
    return {f"checkpoint/{INDEX}": 1, "run.json": 2}.get(name, 0)


def _stamp(path: Path) -> Stamp | None:
    """A value that changes when the file does; None if there is no file."""
    return stamp(path.stat()) if path.exists() else None
