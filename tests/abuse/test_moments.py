"""A signal at any moment of any command: all of it ends soon, with a code that says so, and the same works then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ground import TALLY, Attempt, ground, state
from hypothesis import given, settings
from hypothesis import strategies as st

COMMANDS = {
    "train": ["train", "ae", "--data", "own.npz", "--out", "new", "--epochs", "30", "--batch-size", "8"],
    "resume": ["train", "cvae", "--data", "own.npz", "--out", "run", "--resume", "--epochs", "30"],
    "sample": ["sample", "run", "-n", "3000", "--out", "drawn"],
    "score": ["score", "run", "-n", "2000", "--detector", "mnist-cnn"],
    "stats": ["stats", "photos", "--detector", "mnist-cnn", "--out", "stats.npz"],
    "compare": ["compare", "grid.toml"],
    "workers": ["compare", "grid.toml", "--workers", "2"],
    "report": ["report", "run", "-n", "1000", "--metrics", "fid", "--detector", "mnist-cnn"],
}
ENDS = {"new", "run", "drawn", "stats.npz", "grid", "report.html"}
PATIENCE = 30  # seconds until everything is gone; it takes two or three on an idle machine
FIRST = 0.4  # seconds: before that Python itself is being started, which no program can do anything about


def start(words: list[str], home: Path) -> subprocess.Popen[str]:
    """The command in a process, and a group, of its own."""
    command = [sys.executable, "-m", "counterfeit", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=home, text=True, start_new_session=True, **pipes)


def left(group: int) -> bool:
    """Whether anything of a process group is still there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def interrupted(words: list[str], home: Path, name: str, after: float) -> Attempt:
    """The command, with a signal sent to its first process some seconds after its start."""
    did, before = Attempt([*words, f"({name} after {after:.2f} s)"]), state(home)
    process = start(words, home)
    time.sleep(after)
    process.send_signal(getattr(signal, name))
    try:
        did.out, did.err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        did.hung = True
    until = time.monotonic() + PATIENCE
    while left(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    did.hung |= left(process.pid)
    if did.hung:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    did.code = process.returncode
    after_it = state(home)
    did.made = sorted(after_it.keys() - before.keys())
    did.gone = sorted(path for path, digest in before.items() if after_it.get(path) != digest)
    return did


@pytest.mark.abuse
@settings(max_examples=settings().max_examples // 3)
@given(
    verb=st.sampled_from(list(COMMANDS)),
    name=st.sampled_from(["SIGINT", "SIGTERM"]),
    after=st.floats(FIRST, 6.0),
)
def test_any_moment(verb, name, after, built, tmp_path_factory):
    with ground(built, tmp_path_factory.getbasetemp() / "place") as home:
        did = interrupted(COMMANDS[verb], home, name, after)
        faults = did.faults(sorted(ENDS))
        if did.code:  # else it was done before the signal came
            again = start(COMMANDS[verb], home)
            _, err = again.communicate(timeout=300)
            if again.returncode:
                faults.append("loss")
                did.err += f"\nthe same command again: exit {again.returncode}\n{err[-1500:]}"
        TALLY["signals: cases"] += 1
        TALLY.update(faults)
        assert not faults, f"{', '.join(faults)}\n{did}"
