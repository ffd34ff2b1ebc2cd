"""Real processes, really killed: whatever the moment, the resumed run ends with the uninterrupted run's weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.system.files import write_atomic

GROUPS = ("model", "training", "ema")


def start(model: str, out: Path, *more: str) -> subprocess.Popen[str]:
    epochs = "1" if model == "dcgan" else "3"  # the convolutions take ten times as long a step
    words = ["train", model, "--data", "mnist5k", "--epochs", epochs, "--ema", "0.99", "--log-every", "7"]
    words += ["--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "counterfeit", *words, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


def result(out: Path) -> tuple[dict[str, dict[str, torch.Tensor]], list[dict[str, object]]]:
    """All tensors, and the log without what a clock decides."""
    rows = [{k: v for k, v in row.items() if k != "images_per_s"} for row in RunFolder(out).read_log()]
    return load_checkpoint(out / "checkpoint", GROUPS), rows


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, test_cache):
    """Final tensors and log of each model, and how long its training took; made once a model."""
    made: dict[str, tuple[object, float]] = {}
    home = tmp_path_factory.mktemp("uninterrupted")

    def get(model: str):
        if model not in made:
            begun = time.monotonic()
            finish(start(model, home / model))
            made[model] = (result(home / model), time.monotonic() - begun)
        return made[model]

    return get


def assert_same(one, two) -> None:
    (groups, log), (other_groups, other_log) = one, two
    assert groups.keys() == other_groups.keys()
    for group, tensors in groups.items():
        assert tensors.keys() == other_groups[group].keys()
        assert all(torch.equal(tensor, other_groups[group][name]) for name, tensor in tensors.items())
    assert log == other_log


def kill(process: subprocess.Popen[str], seconds: float) -> None:
    """kill -9 after so long."""
    time.sleep(seconds)
    process.kill()
    process.communicate()


def kill_and_resume(model: str, seconds: float, out: Path) -> str:
    """Kill -9 after `seconds`, go on to the end; returns where the kill struck."""
    kill(start(model, out), seconds)
    folder = RunFolder(out)
    if not folder.holds_run():
        finish(start(model, out))
        return "before run.json"
    index = folder.checkpoint / "checkpoint.json"
    step = index.read_text().split('"step": ')[1].split(",")[0] if index.exists() else "0"
    finish(start(model, out, "--resume"))
    return f"checkpoint of step {step}, {len(folder.read_log())} rows logged in the end"


@pytest.mark.torture
@pytest.mark.parametrize("trial", range(20))
def test_twenty_kills_at_random_moments(trial: int, uninterrupted, tmp_path: Path) -> None:
    model = ("vae", "gan", "dcgan", "cvae")[trial % 4]
    expected, whole = uninterrupted(model)
    seconds = random.uniform(0, whole)
    struck = kill_and_resume(model, seconds, tmp_path / "run")
    print(f"{model:6} killed after {seconds:5.2f} s of {whole:.2f} s: {struck}")
    assert_same(result(tmp_path / "run"), expected)


@pytest.mark.torture
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_and_then_killed_resumes_bit_equal(
    number: signal.Signals, uninterrupted, tmp_path: Path
) -> None:
    expected, _ = uninterrupted("vae")
    out = tmp_path / "run"
    process = start("vae", out)
    while not (out / "log.jsonl").exists():
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "with a checkpoint; the same command with --resume goes on" in err and "Traceback" not in err
    assert (out / "checkpoint" / "checkpoint.json").exists()
    process = start("vae", out, "--resume")
    while not (out / "samples" / "epoch-0001.png").exists():
        time.sleep(0.01)
        assert process.poll() is None
    kill(process, random.uniform(0, 0.3))
    finish(start("vae", out, "--resume"))
    groups, _ = result(out)  # the log has a row more, of the step where it stopped
    for group, tensors in expected[0].items():
        assert all(torch.equal(tensor, groups[group][name]) for name, tensor in tensors.items())


def test_a_file_is_old_or_new_however_often_its_writer_is_killed(tmp_path: Path) -> None:
    """A process rewrites a file of one repeated byte for ever; it is killed 10 times, and the file is never mixed."""
    path = tmp_path / "file"
    write_atomic(path, b"\0" * 3_000_000)
    loop = (
        "import sys, itertools; from pathlib import Path; from counterfeit.system.files import write_atomic\n"
        "for i in itertools.count(): write_atomic(Path(sys.argv[1]), bytes([i % 256]) * 3_000_000)"
    )
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", loop, str(path)])
        time.sleep(random.uniform(0.1, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert len(content) == 3_000_000 and content == content[:1] * 3_000_000
