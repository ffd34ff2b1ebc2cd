"""Jobs of several processes: real ones, started by torchrun on this machine. `make processes` runs the long tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import counterfeit as cf
import processes_cases
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.system.distributed import ALONE
from counterfeit.system.noise import Noise
from processes_cases import One

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
GROUPS = ("model", "training", "ema")
SIX_EPOCHS = ["--data", "mnist5k", "--epochs", "6", "--ema", "0.99", "--log-every", "7"]


def start(n: int, *words: object) -> subprocess.Popen[str]:
    """`words` in n processes, or in one without torchrun; stdout and stderr in one."""
    launcher = [*TORCHRUN, "--nproc-per-node", str(n)] if n > 1 else [sys.executable]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}  # what torchrun sets by itself, with a warning
    return subprocess.Popen(
        [*launcher, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=quiet
    )


def run(n: int, *words: object, code: int = 0) -> str:
    process = start(n, *words)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    return out


def result(out: Path) -> tuple[dict[str, dict[str, torch.Tensor]], list[dict[str, object]]]:
    """All tensors, and the log without what a clock decides."""
    rows = [{k: v for k, v in row.items() if k != "images_per_s"} for row in RunFolder(out).read_log()]
    return load_checkpoint(out / "checkpoint", GROUPS), rows


def furthest(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> tuple[float, str]:
    """The largest difference, and of which tensor."""
    assert one.keys() == two.keys()
    return max(((one[k].double() - two[k].double()).abs().max().item(), k) for k in one)


def ours(shown: str) -> list[str]:
    """The lines that we printed, not torchrun."""
    return [line for line in shown.splitlines() if line.startswith("counterfeit: ")]


# ------------------------------------------------------------------------------------------------- without torchrun


@pytest.mark.parametrize("draw", ["normal", "uniform", "bytes"])
def test_shares_of_noise_are_the_rows_of_one_draw(draw: str) -> None:
    def drawn(source: Noise, n: int) -> torch.Tensor:
        return source.bytes(255, n, 3) if draw == "bytes" else getattr(source, draw)(n, 3)

    sources = [Noise(torch.Generator().manual_seed(5), rank, 4) for rank in range(4)]
    whole = Noise.seeded(5)
    for _ in range(2):  # the generators stay equal
        assert torch.equal(torch.stack([drawn(source, 6) for source in sources], 1).flatten(0, 1), drawn(whole, 24))


def test_a_processs_rows_of_the_halves_are_the_halves_of_its_rows() -> None:
    """So that a step that cuts its batch up, sees the same parts in any job."""
    batch = torch.arange(24)
    for world in (1, 2, 3):
        parts = [batch[One(rank, world).part()] for rank in range(world)]
        assert sorted(torch.cat(parts).tolist()) == batch.tolist()
        for rank, part in enumerate(parts):
            for mine, whole in zip(part.chunk(2), batch.chunk(2), strict=True):
                assert torch.equal(mine, whole[One(rank, world).part()])


@pytest.mark.parametrize("n", [1, 127, 128, 129, 1000])
def test_shares_of_images_are_disjoint_blocks_and_all_of_them(n: int) -> None:
    shares = One(1, 3).shares(n, 128)
    assert sorted(np.concatenate(shares).tolist()) == list(range(n))
    assert all(len(set(rows // 128)) == -(-len(rows) // 128) for rows in shares)
    assert ALONE.shares(n, 128)[0].tolist() == list(range(n))


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of the first of two processes."""
    for name, value in {"WORLD_SIZE": 2, "RANK": 0, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    return monkeypatch


def test_a_pytorch_that_joins_no_processes_is_one_line(job, command, tmp_path: Path) -> None:
    job.setattr(torch.distributed, "is_available", lambda: False)
    shown = command("train", "vae", "--data", "mnist5k", "--device", "cpu", "--out", tmp_path / "run")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("counterfeit: 2 processes need torch.distributed, which this PyTorch was built without")
    assert len(shown.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
    job.setenv("LOCAL_RANK", "1")  # another on this machine leaves the telling to the first
    assert command("train", "vae", "--device", "cpu").err == ""


def test_one_process_joins_no_others(monkeypatch, command, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    monkeypatch.setenv("WORLD_SIZE", "1")
    data = tmp_path / "few.npz"
    np.savez(data, images=cf.load_data("mnist5k").images[:256])
    assert command("train", "vae", "--data", data, "--epochs", 1, "--out", tmp_path / "run").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "run"], "sample runs in one process: start it without torchrun"),
        (["train", "vae", "--device", "cpu:0"], "--device cpu:0 is for one process; several need cpu, or cuda"),
        (["train", "vae", "--device", "meta"], "--device meta cannot be used here: it must be auto, cpu, cuda"),
    ],
)
def test_what_several_processes_cannot_do(words: list[str], message: str, job, command) -> None:
    shown = command(*words)
    assert shown.code == 2 and shown.err.startswith(f"counterfeit: {message}") and len(shown.err.splitlines()) == 1


def test_a_world_without_torchrun_is_named(job, command) -> None:
    job.delenv("LOCAL_RANK")
    shown = command("train", "vae", "--data", "mnist5k")
    assert shown.code == 2 and "WORLD_SIZE is 2, but torchrun did not start this process" in shown.err


# ---------------------------------------------------------------------------------------------------- with torchrun


@pytest.mark.processes  # by default, tests of the contract do the same for every model with threads
def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    """Every tensor of the state after 20 steps: weights, average, Adam's moments, batch norm's, the generator's state.

    2e-4 in float32: Adam divides by the root of a moment, which for a weight with hardly a gradient is hardly more
    than rounding. In float64 the same holds with 1e-8, and there GANs, which amplify everything, must hold it too.
    """
    shown = run(2, processes_cases.__file__, tmp_path)
    for name in processes_cases.CASES:
        one = processes_cases.trained(name, ALONE)
        two, other = (safetensors.torch.load_file(tmp_path / f"{name}-{rank}.safetensors") for rank in (0, 1))
        of_weights = furthest(*({k: v for k, v in t.items() if k.startswith("model.")} for t in (one, two)))
        far, where = furthest(one, two)
        print(f"{name:6} {processes_cases.STEPS} steps, 1 against 2 processes: weights {of_weights[0]:.2g}, ", end="")
        print(f"anything {far:.2g} ({where})")
        assert torch.equal(one["training.rng"], two["training.rng"])
        assert far < (1e-8 if name in processes_cases.IN_FLOAT64 else 2e-4), shown
        assert all(torch.equal(two[key], other[key]) for key in two), f"{name}: the processes differ"


@pytest.mark.processes
def test_two_processes_score_as_one(tmp_path: Path) -> None:
    """A vae and a conditional one, an .npz and a folder of fewer images than blocks; draws in 2 and in 3 processes."""
    images = cf.load_data("mnist5k").images[:300]
    np.savez(tmp_path / "few.npz", images=images)
    for model in ("vae", "cvae"):
        cf.train(model, data="mnist5k", epochs=1, out=tmp_path / model, quiet=True)
    for n, source, more in [
        (2, "vae", ["-n", 2000]),
        (3, "cvae", ["-n", 300, "--repeats", 2]),
        (2, "few.npz", ["--real", "mnist5k"]),
        (2, "few.npz", ["--real", "mnist5k", "-n", 100]),
    ]:
        words = ["-m", "counterfeit", "score", tmp_path / source, *more, "--json"]
        one, two = (json.loads(text[text.index("{") :]) for text in (run(1, *words), run(n, *words)))
        assert one["metrics"] == two["metrics"] and len(one["metrics"]) > 8
        assert (one["receipt"]["machine"]["processes"], two["receipt"]["machine"]["processes"]) == (1, n)
        print(f"{source:8} in {n} processes: all {len(one['metrics'])} metrics equal, bit for bit")
    assert len(list((tmp_path / "vae" / "scores").glob("*.json"))) == 1


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, test_cache):
    """Final tensors and log of two processes that nobody killed."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    os.environ["COUNTERFEIT_CACHE"] = str(test_cache)  # function-scoped elsewhere
    run(2, "-m", "counterfeit", "train", "vae", *SIX_EPOCHS, "--out", out)
    return result(out)


def assert_same(one, two) -> None:
    (groups, log), (other_groups, other_log) = one, two
    assert groups.keys() == other_groups.keys() == set(GROUPS)
    for group, tensors in groups.items():
        assert tensors.keys() == other_groups[group].keys()
        assert all(torch.equal(tensor, other_groups[group][name]) for name, tensor in tensors.items())
    assert log == other_log


def started(out: Path) -> subprocess.Popen[str]:
    """Training into `out`, seen in its third epoch."""
    process = start(2, "-m", "counterfeit", "train", "vae", *SIX_EPOCHS, "--out", out)
    while not (out / "samples" / "epoch-0002.png").exists():
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()[0]
    return process


def worker(parent: int, rank: int) -> int:
    """The process id of a rank that this torchrun started."""
    for task in Path("/proc").glob("[0-9]*"):
        try:
            of, environment = (task / "stat").read_text().rsplit(")", 1)[1].split()[1], (task / "environ").read_bytes()
        except OSError:
            continue
        if int(of) == parent and f"RANK={rank}".encode() in environment.split(b"\0"):
            return int(task.name)
    raise AssertionError(f"torchrun {parent} has no process of rank {rank}")


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_and_a_resumed_one_is_bit_equal(rank: int, undisturbed, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(out)
    os.kill(worker(process.pid, rank), signal.SIGKILL)
    begun = time.monotonic()
    shown, _ = process.communicate(timeout=60)
    print(shown, f"\nended {time.monotonic() - begun:.1f} s after the kill")
    assert process.returncode != 0
    (line,) = [line for line in shown.splitlines() if "another process" in line]
    if line.endswith("; stopped"):  # torchrun has seen the death first, and told this process to stop, too
        line = f"counterfeit: {line.removesuffix('; stopped')}"
    step = json.loads((out / "checkpoint" / "checkpoint.json").read_bytes())["step"]
    assert line == (
        f"counterfeit: another process of this job ended; the last good checkpoint is that of step {step}; "
        "the same command with --resume goes on"
    )
    assert "counterfeit/" not in shown, "a traceback of ours"
    assert f"continuing after step {step}" in run(
        2, "-m", "counterfeit", "train", "vae", *SIX_EPOCHS, "--out", out, "--resume"
    )
    assert_same(result(out), undisturbed)


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_at_one_step(number: signal.Signals, undisturbed, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(out)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and shown.count("with a checkpoint; the same command with --resume goes on") == 1
    run(2, "-m", "counterfeit", "train", "vae", *SIX_EPOCHS, "--out", out, "--resume")
    (groups, _), (expected, _) = result(out), undisturbed  # the stop adds a row to the log
    assert all(torch.equal(tensor, groups[g][name]) for g, named in expected.items() for name, tensor in named.items())


@pytest.mark.processes
def test_a_fault_of_all_is_told_once_and_leaves_no_process_waiting(tmp_path: Path) -> None:
    train = ["-m", "counterfeit", "train", "vae", "--data", "mnist5k", "--epochs", "1", "--out", tmp_path / "run"]
    (line,) = ours(run(2, *train, "--batch-size", "99", code=1))
    assert (
        line == ("counterfeit: --batch-size 99 cannot be divided evenly among 2 processes: pass a multiple of 2")
        and not (tmp_path / "run").exists()
    )
    (line,) = ours(run(2, *train, "--lr", "1e30", "--log-every", "1", code=1))
    assert "became" in line and "it has no checkpoint yet; a lower --lr may help" in line
    run(2, *train)  # a run without a checkpoint is no obstacle
    (line,) = ours(run(2, *train, code=1))
    assert "contains another run" in line


@pytest.mark.processes
def test_every_epoch_scored_by_the_first_and_continued_by_one(tmp_path: Path) -> None:
    """The other waits while the first scores; a run of two processes goes on in one, which samples it too."""
    out = tmp_path / "run"
    train = ["-m", "counterfeit", "train", "dcgan", "--data", "mnist5k", "--score-every", "1", "--out", out]
    shown = run(2, *train, "--epochs", "1")
    assert shown.count("the best so far") == 1 and shown.count(f"run      {out}") == 1
    record = RunFolder(out).read_record()
    assert record.finished and record.made_by["machine"]["processes"] == 2
    run(1, *train, "--epochs", "2", "--resume")
    assert [row["epoch"] for row in RunFolder(out).read_log() if "FID[mnist-cnn]" in row] == [1, 2]
    assert cf.load(out).sample(4).shape == (4, 1, 28, 28)
