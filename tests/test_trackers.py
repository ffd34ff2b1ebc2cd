"""TensorBoard, Weights & Biases and MLflow themselves, read back by their own libraries: equal to log.jsonl."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.tracking import chosen, follow
from counterfeit.tracking.tracker import values

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("ignore")]
SETTINGS = {"data": "mnist5k", "epochs": 2, "log_every": 10, "score_every": 1, "quiet": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> cf.Run:
    """A run that was stopped after an epoch, resumed, scored, and is in all three trackers, without a network."""
    home = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        patch.chdir(home)
        patch.setattr(socket.socket, "connect", _only_here)
        patch.setattr(follow, "PATIENCE", 900.0)  # of a machine that others use
        track = ["tensorboard", "wandb", "mlflow"]
        cf.train("vae", out="run", **{**SETTINGS, "epochs": 1}, track=track)
        run = cf.train("vae", out="run", resume=True, **SETTINGS, track=track)
        run.score(n=200, metrics=["fid"])
        cf.track(run, track)
    return run


CONNECT = socket.socket.connect


def _only_here(self: socket.socket, address: Any) -> None:
    """A connection to this machine only, which W&B's own process is asked by."""
    assert self.family == getattr(socket, "AF_UNIX", None) or address[0] in ("127.0.0.1", "::1", "localhost"), address
    CONNECT(self, address)


def expected(run: cf.Run) -> dict[str, list[tuple[int, float]]]:
    """Every curve of log.jsonl: name -> (step, value)."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in run.folder.log_rows():
        for name, value in values(row).items():
            if name != "epoch":
                curves.setdefault(name, []).append((row.step, value))
    assert {"loss", "images_per_s", "FID[mnist-cnn]"} <= curves.keys()
    return curves


def of_score(run: cf.Run) -> tuple[str, float]:
    (path,) = (run.path / "scores").glob("*.json")
    ((name, scored),) = json.loads(path.read_text())["metrics"].items()
    return f"{path.stem.rpartition('-')[0]}/{name}", scored["value"]


def test_tensorboard_reads_back_what_the_log_says(run: cf.Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    found = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    found.Reload()

    def points(tag: str) -> list[tuple[int, float]]:
        return [(one.step, float(tensor_util.make_ndarray(one.tensor_proto))) for one in found.Tensors(tag)]

    for name, curve in expected(run).items():
        assert points(name) == curve, name
    name, value = of_score(run)
    assert points(name) == [(run.log[-1]["step"], value)]
    images = found.Images("samples")
    assert [image.encoded_image_string for image in images] == [
        path.read_bytes() for path in sorted(run.folder.samples.glob("epoch-*.png"))
    ]
    assert (images[0].width, images[0].height) == size_of(run.folder.samples / "epoch-0001.png")
    text = tensor_util.make_ndarray(found.Tensors("settings/text_summary")[0].tensor_proto).item()
    assert b"|latent|15|" in text


def size_of(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def test_mlflow_lists_what_the_log_says(run: cf.Run, monkeypatch) -> None:
    import mlflow

    monkeypatch.chdir(run.path.parent)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("counterfeit")
    (one,) = client.search_runs([experiment.experiment_id])
    assert (one.info.status, one.info.run_name) == ("FINISHED", "run")
    assert one.data.params["latent"] == "15" and one.data.tags["resumed.epochs"] == "2"
    for name, curve in expected(run).items():
        history = client.get_metric_history(one.info.run_id, name.replace("[", "/").replace("]", ""))
        assert sorted((metric.step, metric.value) for metric in history) == curve, name
    name, value = of_score(run)
    assert one.data.metrics[name.replace("[", "/").replace("]", "")] == value
    assert len(client.list_artifacts(one.info.run_id, "samples")) == 2
    assert len(client.list_artifacts(one.info.run_id, "scores")) == 1


def test_wandb_offline_folders_hold_what_the_log_says(run: cf.Run) -> None:
    from wandb.proto import wandb_internal_pb2

    folders = sorted((run.path / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime)
    assert len(folders) == 3 and len({folder.name.rpartition("-")[2] for folder in folders}) == 1
    curves: dict[str, list[tuple[int, Any]]] = {}
    summary, config = {}, {}
    for folder in folders:
        (file,) = folder.glob("*.wandb")
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("history"):
                items = {(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
                for name, value in items.items():
                    curves.setdefault(name, []).append((record.history.step.num or items["_step"], value))
            parts = (record.config.update, config), (record.run.config.update, config), (record.summary.update, summary)
            for source, into in parts:
                into.update({(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in source})
    for name, curve in expected(run).items():
        assert curves[name] == curve, name
    pictures = sorted(run.folder.samples.glob("epoch-*.png"))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures]
    assert curves["samples.sha256"] == list(zip((39, 78), digests, strict=True))
    name, value = of_score(run)
    assert summary[name] == value and config["latent"] == 15


def test_wandb_whose_process_is_killed_ends_no_training(tmp_path: Path) -> None:
    """Its own process is killed in the middle: one line, and the run is that of nobody looking."""
    small = ["--encoder-width", "8", "--decoder-width", "8", "--latent", "2"]
    options = ["--data", "mnist5k", "--epochs", "150", "--log-every", "5", *small]
    words = [sys.executable, "-m", "counterfeit", "train", "vae", *options]
    # W&B tells child processes of the service of this one, which is to live: the training starts its own.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    training = subprocess.Popen(
        [*words, "--out", "run", "--track", "wandb"], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        until(lambda: list(Path("run").glob("tracking/wandb.json")) and children(training.pid))
        for child in children(training.pid):
            os.kill(child, signal.SIGKILL)
        _, said = training.communicate(timeout=900)
    finally:
        training.kill()
    assert training.returncode == 0, said
    assert said.count("wandb failed") == 1 and "Traceback" not in said, said
    assert cf.load("run").record.finished
    subprocess.run([*words, "--out", "other"], check=True, capture_output=True)
    assert cf.load("run").weights_sha256 == cf.load("other").weights_sha256


def test_mlflow_that_cannot_be_reached_ends_no_training(monkeypatch, capsys, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        images = np.zeros((32, 28, 28), np.uint8)
        run = cf.train("vae", images, epochs=1, batch_size=8, out="run", quiet=True, track="mlflow")
    assert run.record.finished and capsys.readouterr().err.count("mlflow failed") == 1


def test_all_are_there() -> None:
    assert chosen("tensorboard,wandb,mlflow") == ["tensorboard", "wandb", "mlflow"]


def records(content: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: the log format of LevelDB, by its specification, after W&B's header of 7 bytes."""
    assert content[:4] == b":W&B"
    place, parts = 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # no header fits into the rest of the block
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def children(pid: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            found += [int(path.parent.name)] if parent == pid else []
    return found


def until(what: Any, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
