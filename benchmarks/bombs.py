"""What files of strangers cost: peak memory, seconds and the line that is said, each in a process of its own.

    python benchmarks/bombs.py [--source DIR] [--only WORD …] [--out FILE]

The files are those of tests/bomb_cases.py, at full size: an .npz file of 3 MB that unpacks to 3 GB, four pictures of 88
million pixels for four threads, 18,000 classes, a tree 1,500 deep. `--source` names the `src` of another version, to
compare with. Memory is the peak of the process (VmHWM, Linux only: ru_maxrss is
that of whoever started it, if it was more) above that of its imports. The last rows are one
photo of 12 megapixels brought to 64x64, and how far its pixels are from those of the whole photo.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from bomb_cases import HUGE, NPZ, deep_tree, huge, many_classes, zeros  # noqa: E402
from counterfeit.data import convert, picture  # noqa: E402
from counterfeit.runs import provenance  # noqa: E402
from counterfeit.system.files import write_json  # noqa: E402

SECONDS = 120  # of one case, after which it hangs
LOAD = """
import re, sys
from pathlib import Path
from counterfeit import data
from counterfeit.errors import DataError
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
before = peak()
try:
    print(f"loaded {data.load(sys.argv[1]).images.shape}")
except DataError as error:
    print(str(error).replace(sys.argv[1], "PATH"))
finally:
    print(peak() - before)
"""


def measure(place: Path, source: Path, cache: Path) -> dict[str, object]:
    """Load it in a fresh process."""
    environment = os.environ | {"PYTHONPATH": str(source), "COUNTERFEIT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    command = [sys.executable, "-c", LOAD, str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return {"said": "hangs", "peak_mib": None, "seconds": None}
    seconds = round(time.perf_counter() - start, 1)
    lines = done.stdout.split("\n")
    if done.returncode:
        fault = done.stderr.strip().rpartition("\n")[2] or f"killed by signal {-done.returncode}"
        return {"said": f"traceback: {fault}", "peak_mib": int(lines[0]) if lines[0] else None, "seconds": seconds}
    return {"said": lines[0][:300], "peak_mib": int(lines[1]), "seconds": seconds}


def four(home: Path, name: str) -> Path:
    """A folder of as many huge pictures as there are threads."""
    ending, mode, options = HUGE[name]
    first = huge(home / f"0.{ending}", mode, **options)
    for i in range(1, convert.THREADS):
        os.link(first, home / f"{i}.{ending}")
    return home


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def deep(home: Path) -> Path:
    deep_tree(home, 1500)
    return home


def cases() -> dict[str, Callable[[Path], Path]]:
    """Each makes its files in an empty folder and gives what is to be loaded."""
    named = ("declares 10^12 images", "encrypted", "lzma", "objects", "a deep header", "labels 0 and 65535")
    found: dict[str, Callable[[Path], Path]] = {
        f".npz, {name}": lambda home, name=name: written(home / "a.npz", NPZ[name][0]()) for name in named
    }
    found[".npz, 3 MB that unpack to 3 GB"] = lambda home: written(home / "a.npz", zeros(3 << 30))
    found[".npz, a pipe"] = lambda home: pipe(home / "a.npz")
    for name in HUGE:
        found[f"four pictures of 88 million pixels, {name}"] = lambda home, name=name: four(home, name)
    found["a folder of 18,000 classes"] = lambda home: many_classes(home, 18_000)
    found["a tree 1,500 folders deep"] = deep
    return found


def photo() -> dict[str, float]:
    """A JPEG of 12 megapixels to 64x64: seconds of the whole and of the part, and the levels between their pixels."""
    rng = np.random.default_rng(0)
    f = np.hypot(np.fft.fftfreq(3000)[:, None], np.fft.rfftfreq(4000)[None])
    f[0, 0] = 1  # amplitudes 1/f, as natural images have them
    waves = (rng.normal(size=(3, *f.shape)) + 1j * rng.normal(size=(3, *f.shape))) / f
    pixels = np.fft.irfft2(waves, s=(3000, 4000)).transpose(1, 2, 0)
    pixels = (pixels / pixels.std() * 55 + 120).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    found: dict[str, float] = {}
    enough, made = picture.ENOUGH, {}
    for name, times in (("whole", 10**6), ("part", enough)):
        picture.ENOUGH = times
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            made[name] = picture.decode(file.getvalue(), (64, 64), 3).pixels.astype(int)
            seconds.append(time.perf_counter() - start)
        found[f"{name}_s"] = round(min(seconds), 4)
    apart = np.abs(made["whole"] - made["part"])
    return {**found, "mean_levels": round(float(apart.mean()), 3), "most_levels": int(apart.max())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose names hold one of these words")
    parser.add_argument("--out", type=Path, help="JSON, by default nowhere")
    args = parser.parse_args()
    rows = []
    for name, make in cases().items():
        if any(word in name for word in args.only):
            with tempfile.TemporaryDirectory() as home:
                (Path(home) / "files").mkdir()
                rows.append({"case": name, **measure(make(Path(home) / "files"), args.source, Path(home) / "cache")})
                subprocess.run(["rm", "-rf", Path(home) / "files"], check=True)  # shutil is not for trees so deep
            print(json.dumps(rows[-1]), flush=True)
    if args.out:
        found = {"rows": rows, "photo": photo(), "made_by": provenance(torch.device("cpu"))}
        print(json.dumps(found["photo"]))
        write_json(args.out, found)


if __name__ == "__main__":
    main()
