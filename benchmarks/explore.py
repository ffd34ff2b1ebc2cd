"""How long Explore takes to answer while somebody drags: median and 99th percentile of each of the seed's models.

    .venv/bin/python benchmarks/explore.py

Every model with fresh weights, which take as long as trained ones, in a run of MNIST's shape, is asked over HTTP for
places in a plane along random directions, one after another as a browser does. It takes a minute, and writes
benchmarks/results/explore.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import requests
import torch
import uvicorn

import counterfeit as cf
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf
from counterfeit.app.start import bound

HERE = Path(__file__).parent
MODELS = ("ae", "vae", "cvae", "gan", "lsgan", "dcgan")
WARM_UP = 5


def measured(address: str, run: str, seconds: float) -> dict[str, float]:
    """Milliseconds from a request to its whole answer; and of the processor, by server and client, for each."""
    session, times = requests.Session(), []
    spent, until = time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until or len(times) < 2 * WARM_UP:
        share = len(times) / 100
        moves = [
            {"direction": {"is": "axis", "kind": "random", "axis": axis}, "amount": amount}
            for axis, amount in enumerate((3 * np.sin(share), 3 * np.cos(2 * share)))
        ]
        asked = {"run": run, "client": "benchmark", "center": {"is": "mean"}, "moves": moves}
        begun = time.perf_counter()
        answer = session.post(f"{address}/explore/point", json=asked, headers={"origin": address})
        times.append(1e3 * (time.perf_counter() - begun))
        answer.raise_for_status()
        time.sleep(max(0.0, 0.025 - (time.perf_counter() - begun)))  # as often as a page asks
    kept = times[WARM_UP:]
    names = {"median_ms": 50, "p99_ms": 99}
    found = {name: round(float(np.percentile(kept, q)), 2) for name, q in names.items()}
    return found | {"cpu_ms": round(1e3 * (time.process_time() - spent) / len(times), 2), "answers": len(kept)}


def of_a_file(address: str) -> float:
    """The median in milliseconds of a small file's answer: what the machine's load costs whatever is asked."""
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        requests.get(f"{address}/static/post.js").raise_for_status()
        times.append(1e3 * (time.perf_counter() - begun))
    return round(float(np.median(times)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each model")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "explore.json")
    options = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (128, 28, 28), np.uint8)
    with tempfile.TemporaryDirectory() as home, bound("127.0.0.1", 0) as listening:
        for name in MODELS:
            cf.train(
                name, images, labels=np.arange(128) % 10, out=Path(home) / name, epochs=1, quiet=True, device="cpu"
            )
        server = uvicorn.Server(uvicorn.Config(application(Shelf([home])), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        runs = {one.folder.path.name: one.id for one in Shelf([home]).runs()}
        found, file = {}, of_a_file(address)
        for name in MODELS:
            found[name] = measured(address, runs[name], options.seconds)
            print(name, found[name])
        server.should_exit = True
        thread.join()
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "small_file_median_ms": file}
    result = {"machine": machine, "torch": torch.__version__, "models": found}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
