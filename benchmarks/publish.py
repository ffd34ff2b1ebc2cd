"""Put measured figures into README.md and the pages of docs that hold such blocks: none of those is typed by hand.

    counterfeit compare benchmarks/grids/seed.toml
    python benchmarks/publish.py [--comparison runs/seed/comparison.json]

Copies a comparison (less its loss curves, which are long), its table and the samples of every model's first seed, and
rewrites what stands between `<!-- figures: … -->` and `<!-- end -->` in the pages, and the minutes that `counterfeit
list models` says. Without --comparison it takes what is in benchmarks/results already.

A grid of many hours may come in parts, from several machines: what was published of the same grid and is not in the
comparison stays, if the code of today gives the bits that trained it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from msgspec.structs import replace

import bits
from counterfeit.catalog import MINUTES
from counterfeit.comparison import render
from counterfeit.comparison.table import tables
from counterfeit.report.records import Comparison, RunRow, of_json, to_json
from counterfeit.runs import source
from counterfeit.system.files import write_json
from tables import KINDS, frontier
from tables.minutes import minutes
from tables.scores import GRIDS, picture
from tables.text import Json

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"
IMAGES = ROOT / "docs/images"
PICTURES = IMAGES / "models"
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / f"docs/{page}.md"
        for page in ("app", "compare", "data", "explore", "judge", "metrics", "performance", "runs", "scaling")
    ),
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


def merged(new: Comparison, before: Comparison) -> Comparison:
    """The new comparison, and the runs of the one before that it does not have and that today's code would train."""
    today, known = source.digest(*source.TRAINING), bits.load()

    def is_of_today(run: RunRow) -> bool:
        made, drawn = run.training_code, run.score.receipt["code"].get("training")
        return made is not None and bits.same(run.model, made, today, known, drawn)

    def of_today(run: RunRow) -> RunRow:
        """Tables are by the code that trained: one that gives the same bits is the same."""
        if not is_of_today(run):
            return run
        generated = {**run.score.receipt["generated"], "training_code": today}
        return replace(run, score=replace(run.score, receipt={**run.score.receipt, "generated": generated}))

    there = {(run.model, run.data, run.seed) for run in new.runs}
    missing = [run for run in before.runs if (run.model, run.data, run.seed) not in there]
    kept = [run for run in missing if is_of_today(run)]
    for run in missing:
        if run not in kept:
            print(f"{run.path} is left out: it was trained by code of other bits than today's")
    runs = sorted([*new.runs, *kept], key=lambda run: (run.data, run.seed))
    made, notes = tables([of_today(run) for run in runs])
    labels = {path: row.label for table in made for row in table.rows for path in row.runs}
    runs = [replace(run, label=labels[run.path]) for run in runs if run.path in labels]
    return replace(new, tables=made, runs=runs, notes=list(dict.fromkeys([*new.notes, *notes])))


def without_folders(value: Any) -> Any:
    """The same with the last parts of absolute paths in all commands: folders of one machine tell nobody anything."""
    if isinstance(value, list):
        return [without_folders(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: without_folders(one) for key, one in value.items()}
    if isinstance(command := found.get("command"), list):
        found["command"] = [Path(word).name if Path(word).is_absolute() else word for word in command]
    return found


def publish(path: Path) -> None:
    """Put a comparison, its table and its pictures into the results."""
    whole = of_json(json.loads(path.read_text()), Comparison)
    home = RESULTS / Path(whole.title).name  # a grid's name, or that of a folder of runs
    home.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    new = {run.path for run in whole.runs}
    if (home / "comparison.json").exists():
        whole = merged(whole, of_json(json.loads((home / "comparison.json").read_text()), Comparison))
    for table in whole.tables:
        for row in table.rows:
            if row.runs[0] in new:  # else the picture of its first seed was published with an earlier part
                drawn = (Path(row.runs[0]) / "samples").glob("epoch-*.png")
                last = max(drawn, key=lambda grid: int(grid.stem.removeprefix("epoch-")))
                shutil.copy(last, PICTURES / picture(to_json(row), table.data))
    runs = [{key: value for key, value in to_json(run).items() if key != "losses"} for run in whole.runs]
    write_json(home / "comparison.json", without_folders({**to_json(whole), "runs": runs}))
    (home / "table.csv").write_text(render.to_csv(whole.runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparison", type=Path)
    args = parser.parse_args()
    if args.comparison:
        publish(args.comparison)
    for path in RESULTS.glob("*.json"):
        found = json.loads(path.read_text())
        if (said := without_folders(found)) != found:
            write_json(path, said)
    results = read()
    write_json(MINUTES, minutes(results))
    for data in frontier.DATA:
        frontier.draw(results, data, IMAGES / f"frontier-{data}.png")
    for page in PAGES:
        page.write_text(filled(page.read_text(), results))


if __name__ == "__main__":
    main()
