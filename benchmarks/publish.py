"""Put measured figures into README.md and the pages of docs that hold such blocks: none of those is typed by hand.

    counterfeit compare benchmarks/grids/seed.toml
    python benchmarks/publish.py [--comparison runs/seed/comparison.json]

Copies a comparison (less its loss curves, which are long), its table and the samples of every model's first seed, and
rewrites what stands between `<!-- figures: … -->` and `<!-- end -->` in the pages, and the minutes that `counterfeit
list models` says. Without --comparison it takes what is in benchmarks/results already.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

from counterfeit.catalog import MINUTES
from counterfeit.system.files import write_json
from tables import KINDS
from tables.minutes import minutes
from tables.scores import GRIDS
from tables.text import Json

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"
PICTURES = ROOT / "docs/images/models"
PAGES = [
    ROOT / "README.md",
    *(ROOT / f"docs/{page}.md" for page in ("compare", "data", "metrics", "performance", "scaling")),
    *sorted((ROOT / "docs/models").glob("*.md")),
]
BLOCK = re.compile(r"(<!-- figures: (\w+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read() -> Json:
    """All results that pages quote, by the names of their files."""
    results: Json = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    results |= {grid: json.loads((RESULTS / grid / "comparison.json").read_text()) for grid in GRIDS}
    results["search"] = {path.stem: json.loads(path.read_text()) for path in (RESULTS / "search").glob("*.json")}
    return results | {name: {"mnist": results[f"{name}-mnist"]} for name in ("speed", "quality")}


def filled(page: str, results: Json) -> str:
    """The page with every block of figures written anew."""
    return BLOCK.sub(lambda m: f"{m[1]}{KINDS[m[2]](results, m[3])}{m[4]}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparison", type=Path)
    args = parser.parse_args()
    if args.comparison:
        whole = json.loads(args.comparison.read_text())
        home = RESULTS / Path(whole["title"]).name  # a grid's name, or that of a folder of runs
        home.mkdir(parents=True, exist_ok=True)
        PICTURES.mkdir(parents=True, exist_ok=True)
        runs = [{key: value for key, value in run.items() if key != "losses"} for run in whole["runs"]]
        write_json(home / "comparison.json", {**whole, "runs": runs})
        shutil.copy(args.comparison.parent / "table.csv", home / "table.csv")
        for table in whole["tables"]:
            for row in table["rows"]:
                last = max((Path(row["runs"][0]) / "samples").glob("epoch-*.png"))
                shutil.copy(last, PICTURES / f"{row['model']}-{table['data']}.png")
    results = read()
    write_json(MINUTES, minutes(results))
    for page in PAGES:
        page.write_text(filled(page.read_text(), results))


if __name__ == "__main__":
    main()
