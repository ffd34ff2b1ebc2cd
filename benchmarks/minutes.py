"""How long every model's recipe takes on this machine: a few seconds of each are timed, as `--budget` does.

    python benchmarks/minutes.py [--models ae vae …] [--data mnist cifar10 …]

Steps of each stage, sample grids, checkpoints and what follows the last step, by all cores; by the recipe, and where
benchmarks/grids/frontier.toml has another precision, with that as well. A row stays until it is measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path

import tomllib
import torch

from counterfeit.models import MODELS
from counterfeit.runs import RunFolder, provenance
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.files import write_json
from counterfeit.training.budget import measured
from counterfeit.training.trainer import Training

HOME = Path(__file__).parent
RESULT = HOME / "results/minutes.json"
GRID = HOME / "grids/frontier.toml"
WINDOW = "5m"  # budget whose share of trial is long enough to time a step of the slowest network


def precisions(model: str) -> list[str]:
    """Those of the recipe and of the frontier."""
    own = MODELS[model].settings.precision
    return list(dict.fromkeys((own, tomllib.loads(GRID.read_text())["train"].get(model, {}).get("precision", own))))


def seconds(model: str, data: str, precision: str, folder: Path) -> float:
    """Of a whole run by the recipe, in some precision."""
    config = MODELS[model].settings.replace({"data": data, "precision": precision})
    training = Training(model, config.replace({"budget": WINDOW}), RunFolder(folder))
    costs = measured(training, stop=lambda: False)
    return costs.of(Training(model, config, RunFolder(folder)).plan, config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    args = parser.parse_args()
    keep_freed_memory()
    rows = {(row["model"], row["data"], row["precision"]): row for row in _before()}
    for data, model in itertools.product(args.data, args.models):
        for precision in precisions(model):
            with tempfile.TemporaryDirectory() as folder:
                minutes = round(seconds(model, data, precision, Path(folder) / "run") / 60, 2)
            key = {"model": model, "data": data, "precision": precision}
            rows[model, data, precision] = {**key, "minutes": minutes, "threads": torch.get_num_threads()}
            print(f"{model} on {data}, {precision}: {minutes} min", file=sys.stderr)
            write_json(RESULT, {"rows": list(rows.values()), "made_by": provenance(torch.device("cpu"))})


def _before() -> list[dict[str, object]]:
    return json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []


if __name__ == "__main__":
    main()
