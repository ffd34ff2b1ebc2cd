"""Settings that were tried once each, beside the recipe's: their FIDs, from comparisons, into results/trials.json.

    counterfeit compare TRIAL.toml
    python benchmarks/trials.py runs/trial/comparison.json …

A trial is a run of one seed, which says where to look and not how much better something is: what is to be relied on has
a grid, with seeds. A row stays until the same trial is made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from counterfeit.system.files import write_json
from tables.minutes import recipe

RESULTS = Path(__file__).parent / "results/trials.json"
SAME = ("model", "recipe", "data", "seed")  # what a trial is

Json = dict[str, Any]


def of(comparison: Json) -> list[Json]:
    """A row for every run of a comparison."""
    runs = {run["path"]: run for run in comparison["runs"]}
    found = []
    for table in comparison["tables"]:
        for row in table["rows"]:
            changed = {**table["shared_settings"], **row["settings"]}
            for run in (runs[path] for path in row["runs"]):
                receipt, metrics = run["score"]["receipt"], run["score"]["metrics"]
                found.append(
                    {
                        "model": run["model"],
                        "recipe": recipe({"model": run["model"], "settings": changed}),
                        "data": run["data"],
                        "seed": run["seed"],
                        "n": receipt["generated"]["n"],
                        "fid": next(one["value"] for name, one in metrics.items() if name.startswith("FID[")),
                        "device": receipt["machine"]["device"],
                        "training_code": run["training_code"],
                    }
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", nargs="+", type=Path)
    paths = parser.parse_args().comparisons
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    known = {tuple(row[key] for key in SAME): row for row in rows}
    for row in (row for path in paths for row in of(json.loads(path.read_text()))):
        known[tuple(row[key] for key in SAME)] = row
    write_json(RESULTS, {"rows": sorted(known.values(), key=lambda row: (row["model"], row["data"], row["fid"]))})


if __name__ == "__main__":
    main()
