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

from counterfeit.data.walk import TICK
from counterfeit.runs import provenance
from counterfeit.system.files import write_json

RESULTS = Path(__file__).parent / "results"
SIDE, A_FOLDER = 32, 1000
EVERY = 0.02  # seconds between two looks at a process

CONVERT = """
import sys, time
import counterfeit as cf
start = time.perf_counter()
cf.load_data(sys.argv[1])
print(time.perf_counter() - start)
"""

FIRST_BATCH = """
import sys, time
import torch
import counterfeit as cf
from counterfeit.data.feed import chosen_rows, feed
start = time.perf_counter()
data = cf.load_data(sys.argv[1])
opened = time.perf_counter()
device = torch.device("cpu")
pixels, _ = next(feed(data.images, None, chosen_rows(len(data), 128, 0, [(0, 0)], device), device))
assert pixels.shape == (128, *data.shape)
print(opened - start, time.perf_counter() - opened)
"""


def make_folder(root: Path, n: int) -> float:
    """n distinct pictures: large squares of color under a little noise, which PNG packs to two thirds. Seconds."""
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


def measure(n: int, home: Path) -> dict[str, Any]:
    """All steps for one number of images; its folder and cache are removed."""
    work = home / f"{n}"
    images, cache, run = work / "images", work / "cache", work / "run"
    env = {**os.environ, "COUNTERFEIT_CACHE": str(cache)}
    row: dict[str, Any] = {"n": n, "made_in_s": round(make_folder(images, n), 1)}
    time.sleep(2 * TICK / 1e9)  # files that are as young as the file system's clock is coarse are read once more
    try:
        seconds, row["convert"] = watched("-c", CONVERT, str(images), env=env)
        row["convert"]["seconds"] = round(float(seconds), 2)
        row["disk_mib"] = {"files": mib_of(images), "cache": mib_of(cache)}
        times, row["open"] = watched("-c", FIRST_BATCH, str(images), env=env)
        row["open"]["seconds"], row["open"]["first_batch_s"] = (round(float(t), 4) for t in times.split())
        train = ("-m", "counterfeit", "train", "vae", "--data", str(images), "--epochs", "1", "--device", "cpu")
        row["train"] = watched(*train, "--out", str(run), env=env)[1]
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


def a_million(row: dict[str, Any]) -> dict[str, float]:
    """What a million such images cost, in proportion to one row: every part of it is so much an image."""
    times = 1_000_000 / row["n"]
    return {
        "convert_s": round(row["convert"]["seconds"] * times),
        "open_s": round(row["open"]["seconds"] * times, 1),
        "cache_gib": round(row["disk_mib"]["cache"] * times / 1024, 2),
        "files_gib": round(row["disk_mib"]["files"] * times / 1024, 2),
        "order_mib": round(1_000_000 * 8 / 2**20, 1),  # of an epoch, the one thing in memory that grows: int64
    }


def points(found: dict[str, Any]) -> list[list[str]]:
    """The table of docs/scaling.md: its head, and a line a number of images."""
    names = {"convert": "conversion", "open": "opening", "train": "training", "score": "scoring"}
    lines = [
        [
            "images",
            "conversion, s",
            "cache, MiB",
            "opening, s",
            "first batch, ms",
            *(f"{said}, peak MiB" for said in names.values()),
        ]
    ]
    for row in found["rows"]:
        times = [f"{row['convert']['seconds']:.1f}", f"{row['disk_mib']['cache']:.0f}", f"{row['open']['seconds']:.2f}"]
        first = f"{row['open']['first_batch_s'] * 1000:.0f}"
        lines.append([f"{row['n']:,}", *times, first, *(f"{row[name]['peak_mib']:,}" for name in names)])
    return lines


def million(found: dict[str, Any]) -> list[list[str]]:
    """What a million images cost, with the arithmetic."""
    first, last, costs = found["rows"][0], found["rows"][-1], found["a_million"]
    scaled, more = f"/ {last['n']:,} x 1,000,000", last["n"] - first["n"]
    began, ended = (row["train"]["seconds"] for row in (first, last))
    least, grown = first["convert"]["peak_mib"], last["convert"]["peak_mib"] - first["convert"]["peak_mib"]
    beyond, beyond_first = 1_000_000 - last["n"], 1_000_000 - first["n"]
    training = last["train"]["peak_mib"]
    disk = last["disk_mib"]
    return [
        ["what", "arithmetic", ""],
        ["conversion, once", f"{last['convert']['seconds']} s {scaled}", f"{costs['convert_s']} s"],
        [
            "disk: the cache",
            f"{disk['cache']} MiB {scaled} (3,072 bytes of pixels and 8 of label an image)",
            f"{costs['cache_gib']} GiB",
        ],
        [
            "disk: the PNG files themselves",
            f"{disk['files']} MiB {scaled} (one block of 4 KiB each)",
            f"{costs['files_gib']} GiB",
        ],
        [
            "opening, each time: a look at every file, and the SHA-256 of the array",
            f"{last['open']['seconds']} s {scaled}",
            f"{costs['open_s']} s",
        ],
        [
            "an epoch of `vae`",
            f"({ended} s − {began} s) / {more:,} x 1,000,000",
            f"{(ended - began) / more * 1_000_000:.0f} s",
        ],
        [
            "memory of conversion",
            f"{least} MiB + {grown} MiB / {more:,} x {beyond_first:,}",
            f"{least + grown / more * beyond_first:.0f} MiB",
        ],
        [
            "memory of training",
            f"{training} MiB + an epoch's order, 8 bytes x {beyond:,} more images",
            f"{training + beyond * 8 / 2**20:.0f} MiB",
        ],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", nargs="+", type=int, default=[10_000, 50_000, 100_000, 200_000])
    parser.add_argument("--home", type=Path, help="where the folders are made; by default the temporary folder")
    parser.add_argument("--out", type=Path, default=RESULTS / "memory.json")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=args.home) as home:
        for n in args.n:
            rows.append(measure(n, Path(home)))
            print(json.dumps(rows[-1]), flush=True)
            computed = a_million(rows[-1])
            write_json(args.out, {"rows": rows, "a_million": computed, "made_by": provenance(torch.device("cpu"))})
    print(f"a million, computed from the last row: {computed}")


if __name__ == "__main__":
    main()
