"""The whole way from two folders of PNGs to FID and Inception Score: our command against torch-fidelity's.

    python benchmarks/score_speed.py [--images 128] [--pairs 5] [--peers .venv-peers]

Each side is one command in a process of its own, start and loading included, with the same random weights in the same
Inception network; the sides take turns, and which begins alternates. Once with everything to be computed, and once with
what each keeps of the real images in its cache. Both print the same FID, or this stops.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import counterfeit as cf
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from spread import ratios, spread

HERE = Path(__file__).resolve().parent
WRITE = "import sys; sys.path.insert(0, sys.argv[1]); import inception; inception.weights_file(sys.argv[2])"
CLOSE = 1e-3  # relative: two float32 networks, and covariances of fewer images than features


def folder(path: Path, images: np.ndarray) -> Path:
    """One PNG an image."""
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(path / f"{i:05d}.png")
    return path


def ours(fakes: Path, reals: Path, weights: Path, cache: Path) -> float:
    words = ["score", fakes, "--real", reals, "--detector", "inception", "--weights", weights, "--any-weights",
             "--metrics", "fid,is", "--json"]  # fmt: skip
    out = run([sys.executable, "-m", "counterfeit", *words], {"COUNTERFEIT_CACHE": str(cache)})
    return next(row["value"] for name, row in json.loads(out)["metrics"].items() if name.startswith("FID"))


def theirs(python: Path, fakes: Path, reals: Path, weights: Path, cache: Path) -> float:
    words = ["--input1", fakes, "--input2", reals, "--fid", "--isc", "--cpu", "--json", "--silent"]
    words += ["--feature-extractor-weights-path", weights, "--cache-root", cache, "--input2-cache-name", "reals"]
    out = run([python, HERE / "parity/fidelity.py", *words], {})
    return json.loads(out[out.index("{") :])["frechet_inception_distance"]


def run(words: list, env: dict[str, str]) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env={**os.environ, **env})
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128, help="in each folder, of CIFAR-10")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment of make peers")
    args = parser.parse_args()
    python, n = args.peers / "bin/python", args.images
    seconds: dict[str, dict[str, list[float]]] = {w: {"ours": [], "torch-fidelity": []} for w in ("new", "cached")}
    with tempfile.TemporaryDirectory() as home_:
        home = Path(home_)
        images = cf.load_data("cifar10", "test").images
        reals, fakes = folder(home / "reals", images[:n]), folder(home / "fakes", images[n : 2 * n])
        weights = home / "random.pth"
        run([python, "-c", WRITE, HERE / "parity", weights], {})
        sides = {
            "ours": lambda cache: ours(fakes, reals, weights, cache),
            "torch-fidelity": lambda cache: theirs(python, fakes, reals, weights, cache),
        }
        for pair in range(args.pairs):
            found = {}
            for side in sorted(sides, reverse=bool(pair % 2)):
                for what in seconds:
                    start = time.perf_counter()
                    found[side] = sides[side](home / f"cache-{pair}-{side}")
                    seconds[what][side].append(time.perf_counter() - start)
            print({what: {side: round(v[-1], 1) for side, v in of.items()} for what, of in seconds.items()}, found)
            if abs(found["ours"] / found["torch-fidelity"] - 1) > CLOSE:
                sys.exit("the sides disagree")
    rows = [
        {
            "what": what,
            "ours_s": spread(of["ours"]),
            "torch_fidelity_s": spread(of["torch-fidelity"]),
            "ratio": ratios(of["torch-fidelity"], of["ours"]),
        }
        for what, of in seconds.items()
    ]
    made_by = provenance(torch.device("cpu"))
    write_json(HERE / "results/score-speed.json", {"images": n, "rows": rows, "fid": found, "made_by": made_by})


if __name__ == "__main__":
    main()
