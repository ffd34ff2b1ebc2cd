"""How long every model's recipe takes on this machine: a few seconds of each are timed, as `--budget` does.

    python benchmarks/minutes.py [--models ae vae …] [--data mnist cifar10 …] [--missing]

Steps of each stage, sample grids, checkpoints and what follows the last step, by all cores; by the recipe, and as
the grids beside benchmarks/grids/frontier.toml have it. A row stays until it is measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import tomllib
import torch

from counterfeit.models import MODELS
from counterfeit.runs import RunFolder, provenance
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.files import write_json
from counterfeit.training.budget import measured
from counterfeit.training.trainer import Training
from tables.minutes import changed
from tables.scores import FRONTIER

HOME = Path(__file__).parent
RESULT = HOME / "results/minutes.json"
GRIDS = [HOME / f"grids/{name}.toml" for name in FRONTIER]
WINDOW = "5m"  # budget whose share of trial is long enough to time a step of the slowest network


def variants(model: str, data: str) -> list[dict[str, Any]]:
    """What is timed of a model: settings that are not its recipe's, as the frontier's grids have them."""
    found: list[dict[str, Any]] = [{}]
    for path in GRIDS:
        grid = tomllib.loads(path.read_text())
        common = {name: value for name, value in grid.get("train", {}).items() if not isinstance(value, dict)}
        if model in grid["models"] and data in grid["data"]:
            found.append({**common, **grid.get("train", {}).get(model, {})})
    return [one for place, one in enumerate(found) if one not in found[:place]]


def seconds(model: str, data: str, changes: dict[str, Any], folder: Path) -> float:
    """Of a whole run."""
    config = MODELS[model].settings.replace({"data": data, **changes})
    training = Training(model, config.replace({"budget": WINDOW}), RunFolder(folder))
    costs = measured(training, stop=lambda: False)
    return costs.of(Training(model, config, RunFolder(folder)).plan, config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--missing", action="store_true", help="only what was not measured yet")
    args = parser.parse_args()
    keep_freed_memory()
    rows = {(row["model"], row["data"], row["precision"]): row for row in _before()}
    for data, model in itertools.product(args.data, args.models):
        for changes in variants(model, data):
            name, precision = changed(model, changes), changes.get("precision", MODELS[model].settings.precision)
            if args.missing and (name, data, precision) in rows:
                continue
            with tempfile.TemporaryDirectory() as folder:
                minutes = round(seconds(model, data, changes, Path(folder) / "run") / 60, 2)
            row = {"model": name, "data": data, "precision": precision, "minutes": minutes}
            rows[name, data, precision] = {**row, "threads": torch.get_num_threads()}
            print(f"{name} on {data}, {precision}: {minutes} min", file=sys.stderr)
            write_json(RESULT, {"rows": list(rows.values()), "made_by": provenance(torch.device("cpu"))})


def _before() -> list[dict[str, object]]:
    return json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []


if __name__ == "__main__":
    main()
