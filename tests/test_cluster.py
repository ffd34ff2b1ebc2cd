"""A Ray cluster of three local nodes, and an S3 server on this machine: disturbed, the grid ends in its table."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import counterfeit as cf
from counterfeit.runs import RunFolder, load_checkpoint
from grid_cases import GRID, assert_alike, numbers

pytestmark = pytest.mark.ray

LONGER = GRID.replace("epochs = 2", "epochs = 4").replace("every = 1", "every = 2")  # time to be killed in


@pytest.fixture(scope="module")
def serial(tmp_path_factory, test_cache: Path) -> tuple[Path, dict[str, Any]]:
    """The longer grid in one process, undisturbed: its folder and its comparison."""
    home = tmp_path_factory.mktemp("serial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        Path("grid.toml").write_text(LONGER)
        return home, cf.compare("grid.toml")


@pytest.fixture(autouse=True)
def not_last_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's workers are so nice that all else that a busy machine does comes first."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `counterfeit compare grid.toml …` in a process of its own, which the test does not leave behind."""
    begun = []

    def go(*words: str, grid: str = LONGER) -> subprocess.Popen[str]:
        Path("grid.toml").write_text(grid)
        words = (sys.executable, "-m", "counterfeit", "compare", "grid.toml", *words)
        begun.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield go
    for process in begun:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    for _ in range(6000):
        if found := what():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came")


def unfinished_with_a_checkpoint() -> list[RunFolder]:
    paths = [path.parents[1] for path in Path("runs").glob("*/*/checkpoint/checkpoint.json")]
    return [folder for folder in map(RunFolder, paths) if not folder.finished()]


def node_at_work(cluster: Any) -> Any:
    """A node but the head that trains a run which has a checkpoint already; None where there is none now."""
    raylets = {node.all_processes["raylet"][0].process.pid: node for node in cluster.worker_nodes}
    locks = {str(folder.path.resolve() / ".lock") for folder in unfinished_with_a_checkpoint()}
    for worker in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is not ours
            parent = int((worker / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in raylets and locks & {os.readlink(file) for file in (worker / "fd").iterdir()}:
                return raylets[parent]
    return None


def plain(comparison: dict[str, Any], home: str = "runs/small") -> Any:
    """What two comparisons have in common, as JSON, wherever their runs lie."""
    return json.loads(json.dumps(numbers(comparison)).replace(home, "runs/small"))


def assert_same_tensors(one: Path, other: Path) -> None:
    groups = ("model", "training", "ema")
    mine, theirs = (load_checkpoint(path / "checkpoint", groups) for path in (one, other))
    assert mine.keys() == theirs.keys()
    for group, tensors in mine.items():
        assert all(tensor.equal(theirs[group][name]) for name, tensor in tensors.items())


@pytest.fixture
def cluster(monkeypatch) -> Iterator[Any]:
    """Three nodes of one core each; the first is the head, which Ray cannot do without."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_a_node_is_killed_half_way_and_the_table_is_the_serial_one(start, cluster, serial) -> None:
    home, expected = serial
    process = start("--engine", "ray", "--address", cluster.address)
    cluster.remove_node(wait_for(lambda: node_at_work(cluster), process), allow_graceful=False)
    out, err = process.communicate(timeout=600)
    print(err)
    assert process.returncode == 0, err
    assert "4 runs given to a Ray cluster of 3 nodes" in err
    for run in sorted(Path("runs/small").glob("*-s?")):
        assert_same_tensors(run, home / run)
    resumed = [record for run in Path("runs/small").glob("*-s?") for record in cf.load(run).record.resumed_by]
    (again,) = resumed
    assert again["from_step"] >= 39, "the run of the dead node went on from a checkpoint, and no other was touched"
    assert_alike(plain(json.loads(Path("runs/small/comparison.json").read_text())), plain(expected))


def test_ctrl_c_stops_the_tasks_with_checkpoints_and_the_same_command_goes_on(start, cluster, serial) -> None:
    process = start("--engine", "ray", "--address", cluster.address)
    wait_for(unfinished_with_a_checkpoint, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "run the same command to continue" in err and "Traceback" not in err, err
    assert all(not cf.load(folder.path).record.finished for folder in unfinished_with_a_checkpoint())
    process = start("--engine", "ray", "--address", cluster.address)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert_alike(plain(json.loads(Path("runs/small/comparison.json").read_text()))[0], plain(serial[1])[0])


def test_a_run_that_fails_is_not_tried_again_and_a_cluster_is_started_here(start) -> None:
    grid = GRID.replace("lr = 2e-4", "lr = 1e30").replace("seeds = [0, 1]", "seeds = [0]")
    process = start("--engine", "ray", grid=grid)
    out, err = process.communicate(timeout=600)
    told = [line for line in err.splitlines() if line.startswith("counterfeit: ")]
    assert process.returncode == 1 and len(told) == 1 and "became nan" in told[0] and "vae" in out, err
    assert cf.load("runs/small/gan-mnist5k-s0").record.resumed_by == []
    process = start("--engine", "ray", "--cpus-per-run", "999")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2 and err.splitlines()[-1].startswith("counterfeit: a run needs 999 cores"), err


def test_no_cluster_at_an_address_is_one_line(start) -> None:
    process = start("--engine", "ray", "--address", "127.0.0.1:1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2 and "no Ray cluster answers at 127.0.0.1:1" in err.splitlines()[-1], err
    assert "Traceback" not in err


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    import s3fs
    from moto.server import ThreadedMotoServer

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"grids-{port}"  # the server's memory is this process's, and outlives it
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    yield f"s3://{name}"
    server.stop()


def in_the_bucket(pattern: str) -> list[str]:
    import s3fs

    return s3fs.S3FileSystem(skip_instance_cache=True).glob(pattern)


def download(url: str, into: Path) -> Path:
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).get(url, str(into), recursive=True)
    return into


@pytest.mark.parametrize("engine", ["workers", "ray"])
def test_a_grid_in_an_object_store_killed_and_continued(engine: str, start, bucket: str, serial, request) -> None:
    home, expected = serial
    grid = LONGER.replace("runs/small", f"{bucket}/small")
    words = ["--workers", "2"]
    if engine == "ray":
        words = ["--engine", "ray", "--address", request.getfixturevalue("cluster").address]
    process = start(*words, grid=grid)
    wait_for(lambda: len(in_the_bucket(f"{bucket}/small/*/checkpoint/checkpoint.json")) >= 2, process)
    process.kill()
    process.communicate()
    _, err = (process := start(*words, grid=grid)).communicate(timeout=600)
    assert process.returncode == 0, err
    got = download(f"{bucket}/small", Path("got"))
    assert {path.name for path in got.iterdir() if path.is_file()} >= {"comparison.json", "table.md", "report.html"}
    comparison = json.loads((got / "comparison.json").read_text())
    assert_alike(plain(comparison, f"{bucket}/small")[0], plain(expected)[0])
    runs = sorted(got.glob("*-s?"))
    assert len(runs) == 4 and any(cf.load(run).record.resumed_by for run in runs)
    for run in runs:
        local = home / "runs/small" / run.name
        assert_same_tensors(run, local)
        assert names(run) == names(local)
        for picture in (local / "samples").glob("*.png"):
            assert (run / "samples" / picture.name).read_bytes() == picture.read_bytes()
        (score,) = (run / "scores").glob("*.json")
        kept = json.loads(score.read_text())
        assert kept["receipt"]["generated"]["name"] == f"{bucket}/small/{run.name}"
        assert_alike(kept["metrics"], json.loads((local / "scores" / score.name).read_text())["metrics"])


def names(run: Path) -> set[str]:
    paths = [path.relative_to(run) for path in run.rglob("*") if path.is_file()]
    return {str(path) for path in paths if not path.name.startswith(".")}


def test_a_bucket_that_is_not_there_is_told_before_anything_is_trained(bucket: str, command) -> None:
    Path("grid.toml").write_text(GRID.replace("runs/small", "s3://none/small"))
    outcome = command("compare", "grid.toml")
    assert outcome.code == 2 and "s3://none/small cannot be used" in outcome.err, outcome.err
