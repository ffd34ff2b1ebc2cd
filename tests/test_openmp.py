"""How many threads compute and how they wait: what is settled, and that what starts by our commands has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterfeit.system import openmp
from counterfeit.training import progress
from counterfeit.training.loop import Logged
from loop_cases import prepared, trained


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system without limits, in place of this machine's."""
    (tmp_path / "root/proc/self").mkdir(parents=True)
    return tmp_path / "root"


def limited(root: Path, groups: str, files: dict[str, str]) -> float | None:
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(text)
    return openmp.cpu_quota(root)


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, 0.5),
        ("0::/a/b\n", {"cpu.max": "400000 100000\n", "a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a\n", {}, None),
        ("3:memory:/m\n2:cpu,cpuacct:/c\n0::/\n", {}, None),
        (
            "3:memory:/m\n2:cpu,cpuacct:/c\n",
            {"cpu,cpuacct/c/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/c/cpu.cfs_period_us": "100000\n"},
            3.0,
        ),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/\n", {"cpu.max": "nonsense\n"}, None),
        ("nonsense\n\n0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu.max": "0 0\n"}, None),
    ],
)
def test_the_limit_of_a_container_is_found(root: Path, groups: str, files: dict[str, str], quota: float | None) -> None:
    assert limited(root, groups, files) == quota


def test_a_machine_without_control_groups_has_no_limit(root: Path) -> None:
    assert openmp.cpu_quota(root) is None


@pytest.mark.parametrize(
    ("before", "words", "quota", "after"),
    [
        ({}, [], None, {}),
        ({}, ["train", "vae", "--threads", "3"], None, {"OMP_NUM_THREADS": "3"}),
        ({"OMP_NUM_THREADS": "1"}, ["--threads=3"], 2.0, {"OMP_NUM_THREADS": "3"}),
        ({}, ["--threads", "two"], None, {}),
        ({}, ["--threads"], None, {}),
        ({}, ["--threads", "1", "--threads", "4"], None, {"OMP_NUM_THREADS": "4"}),
        ({}, ["--threads", "2_0"], None, {"OMP_NUM_THREADS": "20"}),
        ({}, ["--threads", "9" * 5000], None, {}),
        ({}, ["--threads", "-1"], None, {}),
        ({}, [], 2.9, {"OMP_NUM_THREADS": "2"}),
        ({}, [], 0.5, {"OMP_NUM_THREADS": "1"}),
        ({}, [], 64.0, {}),
        ({"OMP_NUM_THREADS": "6"}, [], 2.0, {"OMP_NUM_THREADS": "6"}),
    ],
)
def test_what_the_user_has_set_stays(
    before: dict[str, str], words: list[str], quota: float | None, after: dict[str, str], monkeypatch
) -> None:
    monkeypatch.setattr(openmp, "cpu_quota", lambda: quota)
    monkeypatch.setattr(openmp, "cores", lambda: set(range(8)))
    environment = dict(before)
    openmp.prepare(environment, words)
    assert environment == after


@pytest.mark.parametrize(
    ("before", "after"), [({}, "1"), ({"KMP_BLOCKTIME": "200"}, "200"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_other_libraries_are_told_to_wait_briefly(before: dict[str, str], after: str | None, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    environment = dict(before)
    openmp.prepare(environment)
    assert environment.get("KMP_BLOCKTIME") == after


def machine_of(words: list[str], environment: dict[str, str], out: str) -> dict[str, Any]:
    """`machine` in run.json of a training by our command in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in {*openmp.CHOSEN, openmp.THREADS}}
    command = [sys.executable, "-m", "counterfeit", "train", "vae", "--data", "own.npz", "--epochs", "1"]
    subprocess.run([*command, "--batch-size", "20", "--out", out, *words], env={**kept, **environment}, check=True)
    return json.loads((Path(out) / "run.json").read_text())["made_by"]["machine"]


def test_a_run_tells_with_what_it_was_computed() -> None:
    np.savez("own.npz", images=np.zeros((40, 28, 28), np.uint8))
    ours = machine_of(["--threads", "1"], {}, "ours")
    assert ours["threads"] == 1 and ours["openmp"] == "OMP_NUM_THREADS=1"
    theirs = machine_of([], {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "1"}, "theirs")
    assert theirs["openmp"] == "OMP_NUM_THREADS=1 OMP_WAIT_POLICY=ACTIVE"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--threads", "0"], "--threads is 0"),
        (["--threads", "5000"], "at most 1024"),
        (["--threads", "x"], "--threads"),
    ],
)
def test_a_wrong_number_of_threads_is_one_line(words: list[str], says: str, command) -> None:
    for verb in (["train", "vae"], ["sample", "x"], ["score", "x"], ["stats", "x", "--out", "y.npz"], ["compare", "x"]):
        shown = command(*verb, *words)
        assert shown.code == 2 and says in shown.err and shown.err.count("\n") == 1


def logged(rates: list[float]) -> list[Logged]:
    return [Logged(1, 100 * i, {"loss": 1.0}, rate) for i, rate in enumerate(rates, start=1)]


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ([900, 1000, 1000, 990], False),
        ([100, 1000, 1000], False),  # it has warmed up
        ([1000, 200, 1000, 200, 1000], False),  # something passed by
        ([1000, 400, 400, 400], False),  # a browser
        ([1000, 250, 250, 250, 250], True),
    ],
)
def test_a_machine_that_others_use_is_told_once(rates: list[float], said: bool, monkeypatch, capsys) -> None:
    for on_cpu in (True, False):
        list(progress.show(logged(rates), 3, on_cpu))
        lines = [line for line in capsys.readouterr().err.splitlines() if "other programs" in line]
        assert len(lines) == (said and on_cpu)
        assert not lines or "training is 4 times slower than it was" in lines[0]


# --- threads that make room ------------------------------------------------------------------------------------------

gnu = pytest.mark.skipif(not openmp._gnu(), reason="PyTorch's OpenMP library is another one here")


@pytest.fixture
def two_threads(monkeypatch) -> Iterator[None]:
    """Of OpenMP, whatever the tests have; quick looks."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(openmp, "INTERVAL", 0.01)
    for name in openmp.CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(openmp, "cores", lambda: {0, 1})
    yield
    torch.set_num_threads(before)


def until(what: Callable[[], bool]) -> None:
    for _ in range(1000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


@gnu
def test_threads_make_room_while_others_want_the_cores(two_threads) -> None:
    """While our threads wait for cores all the time, and no longer. A crowd has a team, by which threads are more."""
    busy, waited = True, 0.0

    def wait() -> float:
        nonlocal waited
        waited += 1.0 if busy else 0.0
        return waited

    watch = openmp.Watch(wait)
    watch.wake()
    until(lambda: watch.crowds)
    until(lambda: len(os.listdir("/proc/self/task")) - threading.active_count() >= 1)
    busy = False
    until(lambda: not watch.crowds)
    busy = True
    until(lambda: watch.crowds)
    watch.rest()
    until(lambda: not crowd())
    watch.wake()
    until(lambda: watch.crowds)
    watch.rest()
    until(lambda: not crowd())


def crowd() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "counterfeit-crowd"]


@gnu
def test_a_machine_that_gives_no_more_threads_ends_no_work(two_threads, monkeypatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        openmp.Watch().wake()
        watch = openmp.Watch()
        watch._crowd(2)
        assert not watch.crowds


@pytest.mark.parametrize("name", sorted(openmp.CHOSEN))
def test_who_has_decided_how_threads_wait_is_left_alone(name: str, two_threads, monkeypatch) -> None:
    assert openmp._crowds_needed() == (1 if openmp._gnu() else 0)
    monkeypatch.setenv(name, "1")
    assert openmp._crowds_needed() == 0


@gnu
@pytest.mark.parametrize(
    ("threads", "cores", "crowds"), [(1, 2, 0), (2, 1, 0), (2, 2, 1), (16, 16, 1), (4, 16, 5), (2, 64, 0)]
)
def test_more_threads_than_cores(threads: int, cores: int, crowds: int, two_threads, monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(openmp, "cores", lambda: set(range(cores)))
    assert openmp._crowds_needed() == crowds
    assert not crowds or 1 + (crowds + 1) * (threads - 1) > cores


@gnu
def test_a_crowd_changes_no_bit(two_threads, digits) -> None:
    def weights() -> list[torch.Tensor]:
        state, config = prepared("vae")
        trained(state, config, digits)
        return list(state.model.parameters())

    alone = weights()
    watch = openmp.Watch(lambda: time.monotonic() * 10)
    watch.wake()
    until(lambda: watch.crowds)
    beside = weights()
    assert watch.crowds and all(torch.equal(a, b) for a, b in zip(alone, beside, strict=True))
    watch.rest()
    until(lambda: not crowd())


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="Linux counts nothing here")
def test_waiting_for_a_core_is_counted() -> None:
    """A process beside another one on one core waits for half of the time."""
    code = (
        "import os, subprocess, sys, time\n"
        "from counterfeit.system.openmp import Waited\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "waited = Waited()\n"
        "waited()\n"
        "other = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "until = time.monotonic() + 1\n"
        "while time.monotonic() < until: pass\n"
        "other.kill()\n"
        "print(waited())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0.2


def test_where_nothing_is_counted_nothing_is_waited(monkeypatch) -> None:
    def refuse(path: str) -> list[str]:
        raise FileNotFoundError

    monkeypatch.setattr(os, "listdir", refuse)
    assert openmp.Waited()() == 0.0


@pytest.mark.parametrize("error", [ProcessLookupError, FileNotFoundError, PermissionError])
def test_a_thread_that_ends_meanwhile_makes_no_difference(error: type[OSError], monkeypatch) -> None:
    """What the others have waited stays what it was; nor is anything counted twice afterwards."""
    seconds, gone = 5, False

    def read(path: Path) -> bytes:
        if gone and path.parent.name == "2":
            raise error
        return f"0 {seconds}000000000 0\n".encode()

    monkeypatch.setattr(os, "listdir", lambda path: ["1", "2"])
    monkeypatch.setattr(Path, "read_bytes", read)
    waited = openmp.Waited()
    assert waited() == 0.0
    seconds = 6
    assert waited() == 2.0
    gone = True
    assert waited() == 2.0
    gone = False
    assert waited() == 2.0
