"""Memory against the number of images: a folder is converted, opened, trained on and scored against.

    python benchmarks/memory.py [--n 10000 50000 100000 200000] [--home DIR]

For each n a folder of n distinct 32x32 RGB PNG files is made, 1,000 to a subfolder, with a cache of its own. Each step
is the command line, or a few lines of Python, in a fresh process whose resident memory is read from /proc 50 times a
second (Linux only): `anonymous` is what it holds, `file` is what it maps of files, libraries included. The folder is
in the kernel's cache of files, as it is after it was made. What a million images cost is computed from the last point.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from counterfeit.files import write_json
from counterfeit.runs import provenance

RESULTS = Path(__file__).parent / "results"
SIDE, A_FOLDER = 32, 1000
EVERY = 0.02  # seconds between two looks at a process
MILLION = 1_000_000

CONVERT = """
import sys, time
import counterfeit as cf
start = time.perf_counter()
cf.load_data(sys.argv[1])
print(time.perf_counter() - start)
"""

FIRST_BATCH = """
import sys, time
import numpy as np
import counterfeit as cf
from counterfeit.config import Config
from counterfeit.loop import State, Stepped, run_steps
from counterfeit.models import build
from counterfeit.recipes import RECIPES
from counterfeit.training import as_fed
import torch
start = time.perf_counter()
data = cf.load_data(sys.argv[1])
opened = time.perf_counter() - start
config = RECIPES["vae"].config
state = State.fresh(build(RECIPES["vae"], config, data.shape, 0), config, torch.device("cpu"))
start = time.perf_counter()
next(event for event in run_steps(state, as_fed(data.images, torch.device("cpu")), None, config))
print(opened, time.perf_counter() - start)
"""


def make_folder(root: Path, n: int) -> float:
    """n distinct pictures: large squares of colour under a little noise, which PNG packs to two thirds. Seconds."""
    rng = np.random.default_rng(n)
    start = time.perf_counter()
    for first in range(0, n, A_FOLDER):
        folder = root / f"{first // A_FOLDER:04d}"
        folder.mkdir(parents=True)
        squares = rng.integers(0, 240, (A_FOLDER, 4, 4, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        pixels = squares + rng.integers(0, 16, (A_FOLDER, SIDE, SIDE, 3), np.uint8)
        for i in range(min(A_FOLDER, n - first)):
            Image.fromarray(pixels[i]).save(folder / f"{i:03d}.png", compress_level=1)
    return time.perf_counter() - start


def watched(*command: str, env: dict[str, str]) -> tuple[str, dict[str, float]]:
    """What the process printed on stdout; its seconds and its highest resident memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], env=env, stdout=subprocess.PIPE, text=True)
    most = {"VmHWM": 0, "RssAnon": 0, "RssFile": 0}  # the first is the kernel's own record of the peak
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        for line in status.read_text().splitlines():
            name, _, value = line.partition(":")
            if name in most:  # they are gone once the process has ended
                most[name] = max(most[name], int(value.split()[0]))
        time.sleep(EVERY)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    assert process.stdout is not None
    peak, anonymous, file = (round(kib / 1024) for kib in most.values())
    seconds = round(time.perf_counter() - start, 1)
    return process.stdout.read(), {"seconds": seconds, "peak_mib": peak, "anonymous_mib": anonymous, "file_mib": file}


def measure(n: int, home: Path, scored: bool) -> dict[str, Any]:
    """All steps for one number of images; its folder and cache are removed."""
    work = home / f"{n}"
    images, cache, run = work / "images", work / "cache", work / "run"
    env = {**os.environ, "COUNTERFEIT_CACHE": str(cache)}
    row: dict[str, Any] = {"n": n, "made_in_s": round(make_folder(images, n), 1)}
    try:
        seconds, row["convert"] = watched("-c", CONVERT, str(images), env=env)
        row["convert"]["seconds"] = round(float(seconds), 2)
        row["disk_mib"] = {"files": mib_of(images), "cache": mib_of(cache)}
        times, row["open"] = watched("-c", FIRST_BATCH, str(images), env=env)
        row["open"]["seconds"], row["open"]["first_batch_s"] = (round(float(t), 3) for t in times.split())
        train = ("-m", "counterfeit", "train", "vae", "--data", str(images), "--epochs", "1", "--device", "cpu")
        row["train"] = watched(*train, "--out", str(run), env=env)[1]
        if not scored:
            return row
        score = ("-m", "counterfeit", "score", str(run), "--real", str(images), "-n", "2000", "--device", "cpu")
        row["score"] = watched(*score, env=env)[1]
        row["score_again"] = watched(*score, env=env)[1]
    finally:
        shutil.rmtree(work)
    return row


def mib_of(folder: Path) -> float:
    """What the files below a folder take on the disk, in whole blocks."""
    blocks = sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
    return round(blocks * 512 / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", nargs="+", type=int, default=[10_000, 50_000, 100_000, 200_000])
    parser.add_argument("--scored-up-to", type=int, default=100_000, help="scoring takes minutes from there on")
    parser.add_argument("--home", type=Path, help="where the folders are made; by default the temporary folder")
    parser.add_argument("--out", type=Path, default=RESULTS / "memory.json")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=args.home) as home:
        for n in args.n:
            rows.append(measure(n, Path(home), n <= args.scored_up_to))
            print(json.dumps(rows[-1]), flush=True)
            write_json(args.out, {"rows": rows, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
