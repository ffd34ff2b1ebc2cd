"""Processes that are really stopped, killed, out of room and in each other's way: nothing is left over or lost."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.runs import RunFolder, load_checkpoint
from grid_cases import assert_alike, numbers

DEADLINE = 300  # seconds: nothing here takes ten on an idle machine
TRAIN = ["train", "vae", "--data", "own.npz", "--batch-size", "20", "--log-every", "1", "--latent", "2"]
TRAIN += ["--encoder-width", "16", "--decoder-width", "16", "--ema", "0.9"]
GRID = """
models = ["vae", "ae"]
data = ["own.npz"]
seeds = [0, 1]
out = "grid"
[train]
epochs = 5
batch_size = 20
latent = 2
[score]
n = 20
metrics = ["fid"]
detector = "mnist-cnn"
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path) -> None:
    """A data set of noise, and a grid file, in the folder that a test is in."""
    make(tmp_path)


def make(folder: Path) -> None:
    np.savez(folder / "own.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8))
    (folder / "grid.toml").write_text(GRID)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `counterfeit …` in a process of its own; what is left of it is killed in the end."""
    token = f"{os.getpid()}-{time.monotonic_ns()}"

    def go(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "counterfeit", *words]
        env = {**os.environ, "COUNTERFEIT_TEST_TOKEN": token}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    go.token = token  # type: ignore[attr-defined]
    yield go
    for pid in alive(token):
        os.kill(pid, signal.SIGKILL)


def alive(token: str) -> list[int]:
    """The processes that were started with this token, and their children."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if token in (path / "environ").read_text(errors="replace"):
                found.append(int(path.name))
        except OSError:
            continue  # it has ended, or is a zombie
    return found


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said."""
    _, err = process.communicate(timeout=DEADLINE)
    return process.returncode, err


def done(process: subprocess.Popen[str]) -> str:
    code, err = ended(process)
    assert code == 0, err
    return err


def result(out: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, object]]]:
    groups = load_checkpoint(out / "checkpoint", ("model", "training", "ema"))
    rows = [{k: v for k, v in row.items() if k != "images_per_s"} for row in RunFolder(out).read_log()]
    return {f"{group}.{name}": tensor for group, named in groups.items() for name, tensor in named.items()}, rows


def assert_same(out: Path, other: Path, log: bool = True) -> None:
    (tensors, rows), (expected, expected_rows) = result(out), result(other)
    assert tensors.keys() == expected.keys() and RunFolder(out).finished()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())
    assert not log or rows == expected_rows


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    while not (found := what()):
        if process.poll() is not None:
            return None
        time.sleep(0.001)
    return found


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> tuple[Any, float]:
    """The table of the grid, and the seconds that it takes two workers."""
    home = tmp_path_factory.mktemp("undisturbed")
    make(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        begun = time.monotonic()
        found = cf.compare("grid.toml", workers=2)
        return numbers(found), time.monotonic() - begun


def handles_signals(process: subprocess.Popen[str]) -> bool:
    """Whether our handlers are there: while Python itself is being started, a signal is Python's."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def finished() -> int:
    """How many members of the grid are trained."""
    return sum(RunFolder(path).finished() for path in Path("grid").glob("*") if RunFolder(path).holds_run())


def stopped(trial: int, start: Any, undisturbed: tuple[Any, float]) -> None:
    """Two workers, and a signal at a random moment, of every third trial just after a member's last step."""
    table, seconds = undisturbed
    number = (signal.SIGINT, signal.SIGTERM)[trial % 2]
    process = start("compare", "grid.toml", "--workers", "2")
    wait_for(lambda: handles_signals(process), process)
    if trial % 3 == 0:
        wait_for(lambda: finished() > trial // 3 % 4, process)
        time.sleep(random.uniform(0, 0.1))
        moment = f"after member {trial // 3 % 4 + 1}"
    else:
        time.sleep(after := random.uniform(0, seconds))
        moment = f"after {after:.2f} s"
    process.send_signal(number)
    begun = time.monotonic()
    code, err = ended(process)
    while alive(start.token):
        assert time.monotonic() - begun < DEADLINE, "its children go on"
        time.sleep(0.01)
    print(f"{number.name} {moment}: all over after {time.monotonic() - begun:.2f} s")
    # It may have been over before.
    assert code in (0, 130) and "Traceback" not in err, err
    done(start("compare", "grid.toml", "--workers", "2"))
    found = numbers(json.loads(Path("grid/comparison.json").read_text()))
    assert_alike(*map(without_losses, (found, table)))


def without_losses(table: list[Any]) -> list[Any]:
    """A run that is told to stop logs the steps since its last row: a row more, and another one after it."""
    tables, runs, failures = table
    return [tables, [{key: value for key, value in run.items() if key != "losses"} for run in runs], failures]


@pytest.mark.torture  # test_signals has the same in one process
def test_a_grid_is_stopped_after_a_members_last_step(start, undisturbed) -> None:
    stopped(3, start, undisturbed)


@pytest.mark.torture
@pytest.mark.parametrize("trial", range(30))
def test_a_grid_is_stopped_at_thirty_moments(trial: int, start, undisturbed) -> None:
    stopped(trial, start, undisturbed)


@pytest.mark.torture
@pytest.mark.parametrize("trial", range(20))
def test_killed_within_the_first_second(trial: int, start, tmp_path: Path) -> None:
    """Counted from when its folder is there; then the same command, without --resume."""
    command = [*TRAIN, "--epochs", "60", "--out"]
    whole, out = tmp_path / "whole", tmp_path / "run"
    done(start(*command, str(whole)))
    process = start(*command, str(out))
    wait_for(out.exists, process)
    time.sleep(after := trial / 20)
    process.kill()
    process.communicate()
    left = sorted(path.name for path in out.iterdir())
    print(f"killed after {after:.2f} s, leaving {', '.join(left) or 'nothing'}")
    code, err = ended(start(*command, str(out)))
    assert code == 0 or (code == 2 and RunFolder(out).finished()), err  # it may have been finished before the kill
    assert_same(out, whole)


def small_disk(place: Path, size: str) -> None:
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "disk"
    small_disk(place, "8m")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    """Leave so many bytes of room."""
    with (disk / "full").open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - leave))


@pytest.mark.torture
@pytest.mark.parametrize(
    ("when", "leave", "says"),
    [
        ("the start", 0, "No space left on device); it has no checkpoint yet: free some space"),
        ("an epoch", 0, "No space left on device); "),
        ("a checkpoint", 8192, "No space left on device); the last good checkpoint is that of step"),
    ],
)
def test_a_full_disk_in_training(when: str, leave: int, says: str, start, disk: Path, tmp_path: Path) -> None:
    command = [*TRAIN, "--epochs", "30", "--out"]
    done(start(*command, str(tmp_path / "whole")))
    out = disk / "run"
    if when == "the start":
        fill(disk)
    process = start(*command, str(out))
    if when != "the start":
        there = out / "log.jsonl" if when == "an epoch" else out / "checkpoint" / "checkpoint.json"
        wait_for(there.exists, process)
        fill(disk, leave)
    code, err = ended(process)
    print(f"at {when}: {err.splitlines()[-1]}")
    assert code == 2 and says in err.splitlines()[-1] and "Traceback" not in err
    (disk / "full").unlink()
    done(start(*command, str(out)))
    assert_same(out, tmp_path / "whole")
    assert not list(out.rglob("*.part"))


@pytest.mark.torture
def test_a_full_disk_after_training(start, disk: Path) -> None:
    """A score that can't be stored is shown all the same; a report that can't be written is one line."""
    done(start(*TRAIN, "--epochs", "2", "--out", str(disk / "run")))
    fill(disk)
    score = ["score", str(disk / "run"), "--n", "20", "--metrics", "fid", "--detector", "mnist-cnn", "--json"]
    report = ["report", str(disk / "run"), "--out", str(disk / "report.html"), *score[2:-1]]
    sample = ["sample", str(disk / "run"), "--out", str(disk / "grid.png")]
    process = start(*score)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    print(f"while scoring: {err.splitlines()[-1]}")
    for words, made in ((report, "report.html"), (sample, "grid.png")):
        code, err = ended(start(*words))
        print(f"{words[0]}: {err.splitlines()[-1]}")
        assert code == 2 and made in err.splitlines()[-1] and "No space left" in err and "Traceback" not in err
        assert not (disk / made).exists()
    (disk / "full").unlink()
    process = start(*score)
    again, _ = process.communicate(timeout=DEADLINE)
    assert json.loads(again)["metrics"] == json.loads(out)["metrics"]
    done(start(*report))
    done(start(*sample))


def test_two_trainings_into_one_folder_started_together(start, command, tmp_path: Path) -> None:
    two_trainings(0.0, start, command, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("apart", np.linspace(0.0, 6.0, 25))
def test_two_trainings_into_one_folder(apart: float, start, command, tmp_path: Path) -> None:
    """From together to one after the other: one is done, the other refused, and the run is the first one's."""
    two_trainings(apart, start, command, tmp_path)


def two_trainings(apart: float, start: Any, command: Any, tmp_path: Path) -> None:
    words = [*TRAIN, "--epochs", "20", "--out"]
    assert command(*words, tmp_path / "whole").code == 0
    first = start(*words, str(tmp_path / "run"))
    time.sleep(apart)
    both = [ended(process) for process in (first, start(*words, str(tmp_path / "run")))]
    codes = sorted(code for code, _ in both)
    said = [err.splitlines()[-1] for code, err in both if code]
    print(f"{apart:.2f} s apart: {said}")
    assert codes == [0, 2], both
    assert any(words in said[0] for words in ("another process", "contains another run"))
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.torture
def test_a_reader_beside_a_writer_for_a_minute(start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(*TRAIN, "--epochs", "100000", "--out", str(out))
    wait_for((out / "checkpoint" / "checkpoint.json").exists, process)
    until, times, steps = time.monotonic() + 60, 0, set()
    while time.monotonic() < until:
        run = cf.load(out)
        assert run.sample(2).shape == (2, 1, 8, 8)
        steps.add(run.trained.checkpoint.step)
        assert run.log
        times += 1
    assert process.poll() is None, ended(process)
    process.terminate()
    assert ended(process)[0] == 130
    print(f"read {times:,} times, of {len(steps):,} checkpoints")
