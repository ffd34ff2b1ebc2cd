"""Put the figures of the seed grid into README.md and docs/models: no figure there is typed by hand.

    counterfeit compare benchmarks/grids/seed.toml
    python benchmarks/publish.py [--comparison runs/seed/comparison.json]

Copies the comparison (less its loss curves, which are long), its table and the samples of every model's first seed, and
rewrites what stands between `<!-- figures: … -->` and `<!-- end -->` in the pages. Without --comparison it takes what
is in benchmarks/results/seed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from counterfeit.files import write_json
from counterfeit.words import number, plus_minus

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/seed"
PICTURES = ROOT / "docs/images/models"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/models").glob("*.md"))]
SHOWN = ("FID", "KID", "IS", "Precision", "Recall", "Density", "Coverage")
BLOCK = re.compile(r"(<!-- figures: (\w+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

Json = dict[str, Any]


def named(table: Json, label: str) -> str:
    """The full name of a score: `FID` -> `FID[mnist-cnn]`."""
    return next(name for name in table["columns"] if name.partition("[")[0] == label)


def median(spread: Json) -> str:
    """Of times: the middle seed, since one that shared the machine with other work says nothing of the model."""
    return f"{statistics.median(spread['values']):,.0f}"


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]]) + "\n"


def of_data(comparison: Json, data: str) -> str:
    """All models on one data set, best first, and the floor."""
    (table,) = (table for table in comparison["tables"] if table["data"] == data)
    names = [named(table, label) for label in SHOWN]
    lines = [["rank", "model", "seeds", names[0], *SHOWN[1:], "training, s (median)"]]
    for row in table["rows"]:
        scores = [plus_minus(row["metrics"][name]) for name in names]
        rank = "–" if row["rank"] is None else str(row["rank"])
        seconds = median(row["train_seconds"])
        lines.append(
            [rank, f"[`{row['label']}`](docs/models/{row['model']}.md)", str(len(row["seeds"])), *scores, seconds]
        )
    lines.append(["", "real images", "", *(number(table["floors"][name]) for name in names), ""])
    return markdown(lines)


def of_model(comparison: Json, model: str) -> str:
    """One model on every data set."""
    curve = ["best epoch, FID of 2,000", "at", "last epoch"]
    lines = [["data", "seeds", *SHOWN, *curve, "training, s (median)", "images/s (median)"]]
    for table in comparison["tables"]:
        for row in table["rows"]:
            if row["model"] == model:
                scores = [plus_minus(row["metrics"][named(table, label)]) for label in SHOWN]
                best = [plus_minus(row["curve"][key]) for key in ("best", "best_epoch", "final")]
                speed = [median(row[key]) for key in ("train_seconds", "images_per_s")]
                lines.append([table["data"], str(len(row["seeds"])), *scores, *best, *speed])
    return markdown(lines)


KINDS: dict[str, Callable[[Json, str], str]] = {"data": of_data, "model": of_model}


def filled(page: str, comparison: Json) -> str:
    """The page with every block of figures written anew."""
    return BLOCK.sub(lambda m: f"{m[1]}{KINDS[m[2]](comparison, m[3])}{m[4]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparison", type=Path)
    args = parser.parse_args()
    if args.comparison:
        RESULTS.mkdir(parents=True, exist_ok=True)
        PICTURES.mkdir(parents=True, exist_ok=True)
        whole = json.loads(args.comparison.read_text())
        runs = [{key: value for key, value in run.items() if key != "losses"} for run in whole["runs"]]
        write_json(RESULTS / "comparison.json", {**whole, "runs": runs})
        shutil.copy(args.comparison.parent / "table.csv", RESULTS / "table.csv")
        for table in whole["tables"]:
            for row in table["rows"]:
                last = max((Path(row["runs"][0]) / "samples").glob("epoch-*.png"))
                shutil.copy(last, PICTURES / f"{row['model']}-{table['data']}.png")
    comparison = json.loads((RESULTS / "comparison.json").read_text())
    for page in PAGES:
        page.write_text(filled(page.read_text(), comparison))


if __name__ == "__main__":
    main()
