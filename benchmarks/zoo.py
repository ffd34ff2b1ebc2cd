"""Make the zoo of finished runs: their weights in float16, without what only training needs, scored as they ship.

    python benchmarks/zoo.py runs/vae-mnist-s0 runs/csngan-mnist-s0 … [--license MIT]

Each becomes a run folder in zoo/counterfeit_zoo, with a list of its files; what was there is replaced. Their facts and
the SHA-256 of these lists go into src/counterfeit/zoo.json, which the package ships. The moving average is taken where
a run has one. Kernels and matrices are rounded; biases and statistics, which are few, stay float32. The scores are
computed from the rounded weights; how far images and scores are from the original's is printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import counterfeit as cf
from counterfeit.catalog import ZOO, ZOO_FILE
from counterfeit.data.cache import cache_dir
from counterfeit.hub.files import LIST, digest, is_ours
from counterfeit.runs import RunFolder, load_checkpoint, save_checkpoint
from counterfeit.runs.checkpoint import read_index
from counterfeit.system.files import write_json
from counterfeit.training.sample_grids import draw_samples

HOME = Path(__file__).parent.parent / "zoo/counterfeit_zoo"
COMPARED = 1000  # images
MOST = 3 << 20  # bytes of an entry


def rounded(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.ndim > 1 and tensor.dtype == torch.float32 else tensor


def placeless(made_by: dict[str, Any]) -> dict[str, Any]:
    """Of paths in its command, only the last part: where they led was on this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in made_by["command"]]
    return {**made_by, "command": words}


def entry(original: cf.Run, license: str) -> tuple[str, dict[str, Any]]:
    """Write the folder of an entry; its name, and what `counterfeit list zoo` says of it."""
    name = f"{original.model_name}-{original.data.name}"
    folder = RunFolder(HOME / name)
    shutil.rmtree(folder.path, ignore_errors=True)
    folder.samples.mkdir(parents=True)
    _write(original, folder)
    run = cf.Run(folder.path, "cpu", f"{ZOO}{name}")
    draw_samples(folder.samples / f"epoch-{run.config.epochs:04d}.png", run.model, run.config.seed, run.options)
    score = run.score(n=10_000)
    _compare(name, original, run, score)
    size = listed(folder)
    if size > MOST:
        raise SystemExit(f"{name} has {size:,} bytes, more than {MOST:,}")
    fid = next(label for label in score.metrics if label.startswith("FID["))
    return name, {
        "model": run.model_name,
        "data": run.data.name,
        "scores": {fid: score[fid].value},
        "size": size,
        "license": license,
        "sha256": digest(folder.path / LIST),
    }


def _write(original: cf.Run, folder: RunFolder) -> None:
    """The record, the log and the weights."""
    shutil.copyfile(original.folder.log_file, folder.log_file)
    folder.write_record(replace(original.record, made_by=placeless(original.record.made_by)))
    index = read_index(original.folder.checkpoint)
    assert index is not None and index.best is None and original.record.finished, f"{original.name} is not finished"
    group = "ema" if "ema" in index.files else "model"
    tensors = load_checkpoint(original.folder.checkpoint, [group])[group]
    halves = {group: {name: rounded(tensor) for name, tensor in tensors.items()}}
    save_checkpoint(folder.checkpoint, halves, index.step, index.epoch)


def listed(folder: RunFolder) -> int:
    """Write the list of its files; how many bytes they have."""
    names = sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*"))
    files = {name: folder.path / name for name in names if is_ours(name)}
    write_json(
        folder.path / LIST,
        {"files": {name: {"sha256": digest(path), "size": path.stat().st_size} for name, path in files.items()}},
    )
    return sum(path.stat().st_size for path in files.values())


def _compare(name: str, original: cf.Run, run: cf.Run, score: cf.Score) -> None:
    apart = np.abs(run.sample(COMPARED).astype(int) - original.sample(COMPARED))
    print(
        f"{name}: of {COMPARED:,} samples, pixels are at most {apart.max()} levels apart, {apart.mean():.4f} on average"
    )
    before = {}
    for path in (original.path / "scores").glob("*.json"):
        before.update(json.loads(path.read_text())["metrics"])
    for label, scored in score.metrics.items():
        was = before[label]["value"] if label in before else float("nan")
        print(f"  {label:32} {scored.value:.6g}, of the original {was:.6g}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--license", default="MIT", help="of the weights")
    args = parser.parse_args()
    print(f"cache {cache_dir()}")
    facts = json.loads(ZOO_FILE.read_text())
    for path in args.runs:
        facts.update([entry(cf.load(path, "cpu"), args.license)])
        write_json(ZOO_FILE, dict(sorted(facts.items())))


if __name__ == "__main__":
    main()
