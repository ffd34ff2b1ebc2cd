"""How long every model's recipe takes on this machine: a few seconds of each are timed, as `--budget` does.

    python benchmarks/minutes.py [--models ae vae …] [--data mnist cifar10 …] [--missing [--beside]]

Steps of each stage, sample grids, checkpoints and what follows the last step, by all cores; by the recipe, and as
the grids beside benchmarks/grids/frontier.toml have it. A row stays until it is measured again.

Minutes are those of one machine. Another one, which is quicker or slower, can only say how many times as long one
recipe takes as another: with --beside each is timed in turns with a row of the same model that is known, whose minutes
are multiplied by the ratio, and the row says so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
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
UNKNOWN = {"beside": ""}  # a row that is not there tells nothing, as one that was scaled itself
TURNS = 3  # of a recipe and the known one beside it
WINDOW = "5m"  # budget whose share of trial is long enough to time a step of the slowest network


def variants(model: str, data: str) -> list[dict[str, Any]]:
    """What is timed of a model: settings that are not its recipe's, as the frontier's grids have them."""
    found: list[dict[str, Any]] = [{}]
    order = list(MODELS[model].settings.to_dict())  # that of names in comparisons
    for path in GRIDS:
        grid = tomllib.loads(path.read_text())
        common = {name: value for name, value in grid.get("train", {}).items() if not isinstance(value, dict)}
        if model in grid["models"] and data in grid["data"]:
            changes = {**common, **grid.get("train", {}).get(model, {})}
            found.append({name: changes[name] for name in sorted(changes, key=order.index)})
    return [one for place, one in enumerate(found) if one not in found[:place]]


def seconds(model: str, data: str, changes: dict[str, Any], folder: Path) -> float:
    """Of a whole run."""
    config = MODELS[model].settings.replace({"data": data, **changes})
    training = Training(model, config.replace({"budget": WINDOW}), RunFolder(folder))
    costs = measured(training, stop=lambda: False)
    return costs.of(Training(model, config, RunFolder(folder)).plan, config)


def beside(model: str, data: str, changes: dict[str, Any], known: dict[str, Any], folder: Path) -> float:
    """How many times as long a run with these changes takes as one with those, in turns: the median."""
    ratios = []
    for turn in range(TURNS):
        one, other = (
            seconds(model, data, settings, folder / f"{turn}-{place}")
            for place, settings in enumerate((changes, known))
        )
        ratios.append(one / other)
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--missing", action="store_true", help="only what was not measured yet")
    parser.add_argument("--beside", action="store_true", help="as multiples of rows that are known")
    args = parser.parse_args()
    keep_freed_memory()
    rows = {(row["model"], row["data"], row["precision"]): row for row in _before()["rows"]}
    for data, model in itertools.product(args.data, args.models):
        recipes = {_key(model, data, changes): changes for changes in variants(model, data)}
        for key, changes in recipes.items():
            if args.missing and key in rows:
                continue
            name, _, precision = key
            row = {"model": name, "data": data, "precision": precision, "threads": torch.get_num_threads()}
            with tempfile.TemporaryDirectory() as folder:
                if args.beside:
                    others = [{**one, "precision": precision} for one in recipes.values()]
                    known = [one for one in others if "beside" not in rows.get(_key(model, data, one), UNKNOWN)]
                    if not known:
                        print(f"{name} on {data}, {precision}: no row of {model} is known", file=sys.stderr)
                        continue
                    ratio, other = beside(model, data, changes, known[0], Path(folder)), _key(model, data, known[0])
                    row |= {"minutes": round(ratio * rows[other]["minutes"], 2), "beside": other[0], "ratio": ratio}
                else:
                    row["minutes"] = round(seconds(model, data, changes, Path(folder) / "run") / 60, 2)
            rows[key] = row
            print(f"{name} on {data}, {precision}: {row['minutes']} min", file=sys.stderr)
            made_by = _before()["made_by"] if args.beside else provenance(torch.device("cpu"))
            write_json(RESULT, {"rows": list(rows.values()), "made_by": made_by})


def _key(model: str, data: str, changes: dict[str, Any]) -> tuple[str, str, str]:
    return changed(model, changes), data, changes.get("precision", MODELS[model].settings.precision)


def _before() -> dict[str, Any]:
    return json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": []}


if __name__ == "__main__":
    main()
