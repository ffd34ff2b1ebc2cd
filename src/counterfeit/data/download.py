"""Download one file over HTTPS: streamed, resumed after a lost connection, verified, and only then moved into place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from counterfeit.errors import DataError
from counterfeit.system.console import progress

if TYPE_CHECKING:  # else where it is needed: loading it takes a tenth of a second, and most commands download nothing
    import requests

TIMEOUT = (10, 60)  # seconds: to connect, and between two reads
CHUNK = 1 << 18  # bytes
ATTEMPTS = 5  # connections per call, each resuming where the last was cut


def download(url: str, path: Path, *, size: int | None = None, sha256: str | None = None) -> None:
    """Download `url` to the file `path`, which appears (or is replaced) only when complete and verified.

    What has arrived is kept in `path` + ".part", even after a failure: the next call resumes there if the server
    supports it. Two processes must not download to the same path at once; the caller holds a lock.

    Args:
        url: an HTTPS URL.
        path: the file to write.
        size: expected length in bytes.
        sha256: expected SHA-256, hex.

    Raises:
        DataError: no connection, an error status, a lost connection, or a wrong size or digest.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for _ in range(ATTEMPTS):
        before = _size(part)
        if _stream(url, part):
            fault = _fault(part, size, sha256)
            if not fault:
                os.replace(part, path)
                return
            part.unlink()
            problem = f"{url} {fault}"
            if not before:  # it came in one piece, so the file there is a different one
                break
        else:
            host, arrived = urlsplit(url).netloc, _size(part)
            problem = f"{host} cut the connection after {arrived:,} bytes; run it again to go on from there"
            if arrived <= before:  # no progress since the last attempt
                break
    raise DataError(problem)


def _stream(url: str, part: Path) -> bool:
    """Append what the server sends to `part`; return False if the connection is cut before the end."""
    import urllib3

    start = _size(part)
    with _request(url, start) as response:
        if response.status_code == 416:  # nothing after `start`: complete, or not the beginning of this file
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return True
            part.unlink()
            return _stream(url, part)
        if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server ignores Range and sends the whole file
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            part.open("ab" if start else "wb") as file,
            progress(f"fetching {url}", total, unit="B") as advance,
        ):
            advance(start)
            try:
                # raw, not iter_content: some servers label a .gz "Content-Encoding: gzip", and it must stay compressed
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    file.write(chunk)
                    advance(len(chunk))
            except urllib3.exceptions.HTTPError:
                return False
            file.flush()
            os.fsync(file.fileno())
    return total is None or _size(part) == total


@contextmanager
def _request(url: str, start: int) -> Iterator[requests.Response]:
    """The open response: status 200, or when resuming also 206 or 416."""
    import requests

    host = urlsplit(url).netloc
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.Timeout as error:
        raise DataError(f"{host} does not respond in time") from error
    except requests.exceptions.SSLError as error:
        raise DataError(f"{host} has no trusted TLS certificate") from error
    except requests.ConnectionError as error:
        raise DataError(f"{host} cannot be reached") from error
    except requests.RequestException as error:
        raise DataError(f"{host} sent an invalid response ({type(error).__name__})") from error
    with response:
        if response.status_code not in ((200, 206, 416) if start else (200,)):
            raise DataError(f"{host} responded {response.status_code} {response.reason}")
        yield response


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _fault(part: Path, size: int | None, sha256: str | None) -> str | None:
    """The fault of the complete file, or None."""
    found = _size(part)
    if size is not None and found != size:
        return f"has {found:,} bytes, expected {size:,}"
    if sha256 is None:
        return None
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return None if digest.hexdigest() == sha256 else f"has SHA-256 {digest.hexdigest()}, expected {sha256}"
