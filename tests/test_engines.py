"""A grid in several processes: the same table; children killed, told to stop, left alone; options that do not fit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import counterfeit as cf
from grid_cases import GRID, assert_alike, numbers

# Three members: when one of two processes is killed, one is still to be given out.
THREE = GRID.replace('["vae", "gan"]', '["vae", "gan", "ae"]').replace("[0, 1]", "[0]").replace("score_every = 1\n", "")
THREE = THREE.replace(', "kid"', "")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `counterfeit compare grid.toml …` in a process of its own, which the test does not leave behind."""
    begun = []

    def go(grid: str, *words: str) -> subprocess.Popen[str]:
        Path("grid.toml").write_text(grid)
        command = [sys.executable, "-m", "counterfeit", "compare", "grid.toml", *words]
        begun.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield go
    for process in begun:
        process.kill()
        process.communicate()


def children(process: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> Any:
    """Until it is true, for two minutes at most, and no longer than the process lives."""
    for _ in range(6000):
        if found := what():
            return found
        assert process is None or process.poll() is None, "the process ended before"
        time.sleep(0.02)
    raise AssertionError("it never came")


def checkpoints() -> list[Path]:
    return list(Path("runs").glob("*/*/checkpoint/checkpoint.json"))


@pytest.mark.torture
def test_two_at_once_one_of_them_killed_and_the_table_is_the_same(start, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "serial").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "serial")
        Path("grid.toml").write_text(THREE)
        serial = cf.compare("grid.toml")
    process = start(THREE, "--workers", "2")
    wait_for(checkpoints, process)
    os.kill(wait_for(lambda: children(process), process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    (last,) = [line for line in err.splitlines() if line.startswith("counterfeit: ")]
    assert process.returncode == 1 and "its process was killed by signal 9; run the same command to continue" in last
    first = json.loads(Path("runs/small/comparison.json").read_text())
    (failure,) = first["failures"]
    assert len(first["runs"]) == 2, "it cost its member, and no other"
    # Any of the three, at any of its moments: what it still said before it died is not known.
    for place, model in enumerate(["vae", "gan", "ae"], start=1):
        if f"/{model}-" not in str(failure):
            assert f"[{place}/3] {model} on mnist5k, seed 0: to be trained" in err and f"[{place}/3] epoch   2/2" in err
    assert_alike(numbers(cf.compare("grid.toml")), numbers(serial))  # it went on, by another engine even
    whole = cf.load(first["runs"][0]["path"]).record
    command = ["compare", "grid.toml", "--workers", "2"]
    assert whole.made_by["command"][1:] == command, "a run tells the command that was typed, not its child's"


@pytest.mark.torture
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_children_stop_with_a_checkpoint(number: signal.Signals, start) -> None:
    """When they are told by who started them, and when that one is killed."""
    process = start(GRID.replace("epochs = 2", "epochs = 600"), "--workers", "2")
    wait_for(lambda: len(list(Path("runs").glob("*/*/log.jsonl"))) == 2, process)
    theirs = children(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    for child in theirs:
        wait_for(lambda child=child: not Path(f"/proc/{child}").exists())
    assert len(checkpoints()) == 2
    if number == signal.SIGINT:
        assert process.returncode == 130 and "run the same command to continue" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "0"], "--workers is 0; it must be 1 or more"),
        (["--workers", "2", "--engine", "ray"], "leave one of them out"),
        (["--engine", "rya"], "--engine is 'rya'; it must be local or ray"),
        (["--address", "auto"], "--address is for a Ray cluster: add --engine ray"),
        (["--cpus-per-run", "2"], "--cpus-per-run is for a Ray cluster"),
        (["--engine", "ray", "--cpus-per-run", "0"], "--cpus-per-run is 0"),
        (["--engine", "ray"], "pip install 'counterfeit[ray]'"),
        (["--out", "s4://bucket/x"], "s4://bucket/x cannot be used"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_options_that_do_not_fit(words: list[str], says: str, command, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    Path("grid.toml").write_text(GRID)
    outcome = command("compare", "grid.toml", *words)
    (line,) = outcome.err.splitlines()
    assert outcome.code == 2 and outcome.out == "" and says in line
    assert not Path("runs").exists(), "nothing was trained"


def test_what_has_no_name_cannot_go_to_another_process() -> None:
    Path("grid.toml").write_text(GRID)
    with pytest.raises(cf.InputError, match="function has none"):
        cf.compare("grid.toml", workers=2, detector=lambda images: images.flatten(1).float())
    assert not Path("runs").exists()


def test_a_store_without_its_package_is_told(command, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    Path("grid.toml").write_text(GRID.replace("runs/small", "s3://bucket/small"))
    outcome = command("compare", "grid.toml")
    assert outcome.code == 2 and "pip install 'counterfeit[s3]'" in outcome.err
