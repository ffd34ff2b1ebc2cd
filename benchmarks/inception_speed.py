"""Inception features per second against torch-fidelity's extractor on the same weights, interleaved in one run.

    python benchmarks/inception_speed.py [--pairs 5] [--images 64] [--batch 64] [--threads N] [--compile]

It needs torch-fidelity 0.4.0 beside counterfeit, and what benchmarks/parity/inception.py needs. A pair is one stretch
of each, the order alternating; the figure is the median of the pairs' ratios, with their range. Each side is called as
its own scores call it: ours with an array, torch-fidelity's with batches of 64, its default. The weights are random:
speed does not depend on them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "parity"), str(HERE.parent / "tests")]

import inception as peers  # noqa: E402 - benchmarks/parity/inception.py

from counterfeit import detectors  # noqa: E402
from counterfeit.runs import provenance  # noqa: E402
from counterfeit.system.files import write_json  # noqa: E402


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(sides: dict[str, Callable[[], object]], images: int, pairs: int) -> dict[str, object]:
    """Rates of both sides, and the ratios of the pairs."""
    warm_up = {side: round(timed(function), 1) for side, function in sides.items()}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for pair in range(pairs):
        for side in sorted(sides, reverse=bool(pair % 2)):
            rates[side].append(images / timed(sides[side]))
    ratios = sorted(a / b for a, b in zip(rates["ours"], rates["torch-fidelity"], strict=True))
    return {
        "images_per_s": {side: round(median(r), 1) for side, r in rates.items()},
        "ratio": round(median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "warm_up_s": warm_up,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=64, help="in a stretch, of 3x32x32")
    parser.add_argument("--batch", type=int, default=64, help="of torch-fidelity")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile; its time is the warm-up's")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = np.random.default_rng(0).integers(0, 256, (args.images, 3, 32, 32), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        peers.weights_file(path)
        extractor = peers.torch_fidelity_network(path)
        begin = time.perf_counter()
        ours = detectors.load("inception", weights=path, any_weights=True, device="cpu", compile=args.compile)
        loading = round(time.perf_counter() - begin, 1)

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        return torch.cat([extractor(batch)[0] for batch in torch.from_numpy(images).split(args.batch)])

    row = {"compile": args.compile, "threads": args.threads, "their_batch": args.batch, "loading_s": loading}
    row |= compare({"ours": lambda: ours(images), "torch-fidelity": theirs}, len(images), args.pairs)
    apart = np.abs(ours(images).features - theirs().numpy()).max()
    row |= {"largest_difference": float(apart), "versions": {"torch-fidelity": version("torch-fidelity")}}
    print(row)
    name = f"inception-speed-batch{args.batch}{'-compile' if args.compile else ''}.json"
    write_json(HERE / "results" / name, {**row, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
