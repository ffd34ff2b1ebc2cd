"""Ctrl-C and SIGTERM at any moment of a command: while modules are imported, at work, at its end, in its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.cli import dispatch
from counterfeit.cli.dispatch import VERBS
from counterfeit.comparison.engines import processes
from counterfeit.comparison.grid import read_grid
from counterfeit.comparison.work import Order, Task, message
from counterfeit.errors import Abandoned
from counterfeit.runs import RunFolder
from counterfeit.system import signals
from counterfeit.system.signals import Interrupted, deferred
from grid_cases import GRID

SETTINGS = {"epochs": 1, "batch_size": 20, "latent": 2, "encoder_width": 8, "decoder_width": 8}
PATIENCE = 120  # seconds, on a machine that does other things too

# A module in the place of one that a command imports: (its name, the command, its body).
SLEEP = "import time; open('here', 'w').close(); time.sleep(600)"
MODULES = {
    "before the work": ("tyro", ["list"], SLEEP),
    "before the work, and it takes every error": ("tyro", ["list"], f"try:\n {SLEEP}\nexcept:\n {SLEEP}"),
    "in the work": ("torch", ["score", "x"], SLEEP),
    "in the work, and it takes every error": ("torch", ["score", "x"], f"try:\n {SLEEP}\nexcept:\n {SLEEP}"),
    "in a callback, which no error leaves": (
        "torch",
        ["score", "x"],
        f"import weakref\nclass A: pass\ndef f(_):\n {SLEEP}\na = A()\nr = weakref.ref(a, f)\ndel a\n{SLEEP}",
    ),
    "after the work": (
        "rich",
        ["--version"],
        f"import atexit, sys\ndef f():\n {SLEEP}\natexit.register(f)\nsys.exit(0)",
    ),
}


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """As if these tests ran there: under nohup SIGHUP is ignored, and SIGINT in what a script starts with &."""
    usual = {signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    handle = signal.signal  # one test puts another in its place
    before = {number: handle(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        handle(number, handler)


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


MOMENTS = [
    (when, number)
    for when in MODULES
    # Where errors are swallowed once is enough: it takes the time after which a signal is taken for lost.
    for number in ([signal.SIGTERM] if "every" in when else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
]


@pytest.mark.parametrize(("when", "number"), MOMENTS)
def test_a_signal_ends_a_command_at_any_moment(when: str, number: signal.Signals, tmp_path: Path) -> None:
    module, words, body = MODULES[when]
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{module}.py").write_text(body)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")])}
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # these tests may run under nohup
        "from counterfeit import __main__ as m\nfrom counterfeit.system import signals\nsignals.PATIENCE = 1; m.main()"
    )
    command = [sys.executable, "-c", code, *words]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(Path("here").exists)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and err == "counterfeit: interrupted\n"


@pytest.mark.parametrize("number", signals.STOPS)
def test_a_signal_within_deferred_sets_the_event_once(number: int) -> None:
    before = [signal.getsignal(one) for one in signals.STOPS]
    with pytest.raises(Interrupted, match="with a checkpoint"), deferred() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        signal.raise_signal(number)  # the same one, that what has started us passes on
        assert stop.is_set()
        raise Interrupted("stopped with a checkpoint")
    assert [signal.getsignal(one) for one in signals.STOPS] == before


def end_of_block(stop: threading.Event) -> None:
    pass


def error(stop: threading.Event) -> None:
    raise cf.InputError("the disk is full")


@pytest.mark.parametrize(("end", "says"), [(end_of_block, "^stopped$"), (error, "^the disk is full; stopped$")])
def test_a_signal_that_nobody_asks_for_is_not_forgotten(end: Callable[[threading.Event], None], says: str) -> None:
    with pytest.raises(Interrupted, match=says), deferred() as stop:
        signal.raise_signal(signal.SIGTERM)
        end(stop)


def test_a_generator_that_is_closed_does_not_forget_it() -> None:
    def events() -> Iterator[int]:
        with deferred():
            yield 1
            yield 2

    going = events()
    next(going)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        going.close()


def test_a_second_signal_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "SAME", 0.0)
    with pytest.raises(KeyboardInterrupt) as caught, deferred() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it waits")
    assert type(caught.value) is KeyboardInterrupt, "pytest's own handler, which was there before"


def test_other_threads_and_other_handlers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        with deferred() as stop:
            found.append(stop.is_set())

    found: list[bool] = []
    one = threading.Thread(target=work)
    one.start()
    one.join()
    assert found == [False]
    # A handler that C code has installed is None to Python, and nohup ignores SIGHUP.
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN if number == signal.SIGHUP else None)
    monkeypatch.setattr(signal, "signal", None)
    with deferred() as stop:
        assert not stop.is_set()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)


@pytest.fixture
def signal_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes while a run's end is written, when no step is left to stop before."""
    write = RunFolder.write_record

    def and_signal(self: RunFolder, record: cf.runs.RunRecord) -> None:
        write(self, record)
        if record.finished:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunFolder, "write_record", and_signal)


def test_a_signal_after_the_last_step_stops_a_loop_over_seeds(images, signal_at_the_end, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="stopped; the run is finished"):
        for seed in (0, 1):
            cf.train("vae", images, out=tmp_path / str(seed), seed=seed, quiet=True, **SETTINGS)
    assert RunFolder(tmp_path / "0").finished() and not (tmp_path / "1").exists()


def test_a_signal_after_the_last_step_of_a_member_stops_the_grid(signal_at_the_end, command) -> None:
    Path("grid.toml").write_text(GRID)
    outcome = command("compare", "grid.toml")
    assert outcome.code == 130 and outcome.err.endswith("stopped; run the same command to continue\n")
    assert [path.name for path in Path("runs/small").iterdir()] == ["vae-mnist5k-s0"]


def test_sampling_that_is_stopped_leaves_nothing(images, tmp_path: Path) -> None:
    cf.train("vae", images, out="run", quiet=True, **SETTINGS)
    command = [sys.executable, "-m", "counterfeit", "sample", "run", "-n", "200000", "--out", "drawn"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(path.name.startswith(".drawn") for path in tmp_path.iterdir()))
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and err.endswith("counterfeit: interrupted\n") and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def child() -> subprocess.Popen[bytes]:
    """A process as `compare --workers` starts them."""
    command = [sys.executable, "-c", processes.START, str(processes.PACKAGES)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("when", ["at once", pytest.param("idle", marks=pytest.mark.abuse), "training", "at the end"])
def test_a_child_ends_when_its_stdin_does(when: str) -> None:
    """Which the kernel closes too, when the parent was killed."""
    epochs = {"training": "epochs = 500", "at the end": "epochs = 1"}.get(when, "epochs = 2")
    Path("grid.toml").write_text(GRID.replace("epochs = 2", epochs))
    grid = read_grid("grid.toml")
    run = RunFolder(grid.members[0].path)
    process = child()
    assert process.stdin and process.stdout and process.stderr
    if when != "at once":
        process.stdin.write(message(Order(grid.score, True, ["x"])) + b"\n")
        process.stdin.flush()
    if when in ("training", "at the end"):
        process.stdin.write(message(Task(grid.members[0])) + b"\n")
        process.stdin.flush()
        wait_for(run.log_file.exists)
    if when == "at the end":
        wait_for(lambda: run.holds_run() and json.loads(run.record_file.read_bytes())["finished"])
    process.stdin.close()
    begun = time.monotonic()
    assert process.wait(PATIENCE) in (0, 130)
    print(f"{when}: {time.monotonic() - begun:.1f} s")
    assert b"Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert when != "training" or run.holds_checkpoint()


@pytest.mark.parametrize(
    "shell", ["{} | head -1", "{} <&- >&- 2>&-", pytest.param("{} 2>&-", marks=pytest.mark.torture)]
)
def test_a_training_goes_on_whoever_listens(shell: str, images, tmp_path: Path) -> None:
    np.savez("own.npz", images=images)
    words = [sys.executable, "-m", "counterfeit", "train", "vae", "--data", "own.npz", "--out", "run", "--epochs", "20"]
    subprocess.run(["sh", "-c", shell.format(" ".join([*words, "--batch-size", "20"]))], timeout=PATIENCE)
    run = cf.load("run")
    assert run.record.finished and len(run.log) == 21 and run.sample(1).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("in_deferred", [True, False])
@pytest.mark.parametrize("raised", [Abandoned, cf.InputError])
def test_that_another_process_has_ended_is_told_whenever_torchrun_stops_this_one(
    raised: type[cf.InputError], in_deferred: bool, command, monkeypatch
) -> None:
    """Its signal comes while the error is on its way, or before; it was the first process that died, which speaks for
    all. Of other errors, the one that was interrupted is the first process's to tell."""

    def verb(words: list[str]) -> int:
        if in_deferred:
            with deferred():
                signal.raise_signal(signal.SIGTERM)
                raise raised("another process of this job ended")
        try:
            raise raised("another process of this job ended")
        finally:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(VERBS._things, "train", verb)
    monkeypatch.setattr(dispatch, "told_here", lambda error: True)
    monkeypatch.setattr(dispatch, "say", lambda message: None)  # of any process but the first
    outcome = command("train")
    said = (
        "another process of this job ended; stopped"
        if in_deferred
        else "counterfeit: another process of this job ended"
    )
    assert outcome.code == 130 and outcome.err == (f"{said}\n" if raised is Abandoned else "")
