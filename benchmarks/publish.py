"""Put measured figures into README.md and the pages of docs that hold such blocks: none of those is typed by hand.

    counterfeit compare benchmarks/grids/seed.toml
    python benchmarks/publish.py [--comparison runs/seed/comparison.json]

Copies a comparison (less its loss curves, which are long), its table and the samples of every model's first seed, and
rewrites what stands between `<!-- figures: … -->` and `<!-- end -->` in the pages. Without --comparison it takes what
is in benchmarks/results already.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import memory
from counterfeit.files import write_json
from counterfeit.words import number, plus_minus, real_images

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"
GRIDS = ("seed", "tuned")  # of benchmarks/grids
TUNED = "-tuned"  # ends the names of recipes that the search found
PICTURES = ROOT / "docs/images/models"
PAGES = [
    *(ROOT / page for page in ("README.md", "docs/metrics.md", "docs/performance.md", "docs/scaling.md")),
    *sorted((ROOT / "docs/models").glob("*.md")),
]
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


def of_data(results: Json, data: str) -> str:
    """All models by the report's settings on one data set, best first, and the floor."""
    table = table_of(results, "seed", data)
    names = [named(table, label) for label in SHOWN]
    lines = [["rank", "model", "seeds", names[0], *SHOWN[1:], "training, s (median)"]]
    for row in table["rows"]:
        scores = [plus_minus(row["metrics"][name]) for name in names]
        rank = "–" if row["rank"] is None else str(row["rank"])
        seconds = median(row["train_seconds"])
        lines.append(
            [rank, f"[`{row['label']}`](docs/models/{row['model']}.md)", str(len(row["seeds"])), *scores, seconds]
        )
    lines.append(["", "real images", "", *(real_images(table, name) for name in names), ""])
    return markdown(lines)


def table_of(results: Json, grid: str, data: str) -> Json:
    (table,) = (table for table in results[grid]["tables"] if table["data"] == data)
    return table


def row_of(table: Json, model: str) -> Json:
    (row,) = (row for row in table["rows"] if row["model"] == model)
    return row


def of_model(results: Json, model: str) -> str:
    """One model on every data set, by the report's settings and by those that the search found."""
    curve = ["best epoch, FID of 2,000", "at", "last epoch"]
    lines = [["recipe", "data", "seeds", *SHOWN, *curve, "training, s (median)", "images/s (median)"]]
    for grid in GRIDS:
        for table in results[grid]["tables"]:
            for row in table["rows"]:
                if row["model"].removesuffix(TUNED) == model:
                    scores = [plus_minus(row["metrics"][named(table, label)]) for label in SHOWN]
                    best = [plus_minus(row["curve"][key]) for key in ("best", "best_epoch", "final")]
                    speed = [median(row[key]) for key in ("train_seconds", "images_per_s")]
                    who = [f"`{row['model']}`", table["data"], str(len(row["seeds"]))]
                    lines.append([*who, *scores, *best, *speed])
    return markdown(lines)


def of_tuned(results: Json, data: str) -> str:
    """Every model that was tuned, beside itself by the report's settings."""
    tuned, exact = table_of(results, "tuned", data), table_of(results, "seed", data)
    names = [named(exact, label) for label in SHOWN]
    lines = [["recipe", "seeds", names[0], *SHOWN[1:], "training, s (median)"]]
    for model in (row["model"].removesuffix(TUNED) for row in exact["rows"]):
        if any(row["model"] == model + TUNED for row in tuned["rows"]):
            for row in (row_of(exact, model), row_of(tuned, model + TUNED)):
                scores = [plus_minus(row["metrics"][name]) for name in names]
                lines.append([f"`{row['model']}`", str(len(row["seeds"])), *scores, median(row["train_seconds"])])
    return markdown(lines)


def of_search(results: Json, model: str) -> str:
    """The tries of one model, best first, and the FID of 2,000 samples on each data set that they were made on."""
    tries = sorted(results["search"][model]["tries"], key=lambda t: math.inf if t["ratio"] is None else t["ratio"])
    lines = [["FID over the recipe's", "settings", "mnist", "cifar10"]]
    for found in tries:
        settings = ", ".join(f"{name} {value}" for name, value in found["settings"].items()) or "**the recipe itself**"
        note = f" ({found['note']})" if "note" in found else ""
        scores = [number(found["fid"][data]) if data in found["fid"] else "–" for data in ("mnist", "cifar10")]
        lines.append(["–" if found["ratio"] is None else f"{found['ratio']:.2f}", settings + note, *scores])
    return markdown(lines)


def of_speed(results: Json, data: str) -> str:
    """Training speed against every peer, and the fraction of the matrix-product limit."""
    sides = {"over_course": "over the course loop", "over_pythae": "over Pythae", "bfloat16_over_ours": "in bfloat16"}
    lines = [["model", "images/s", *sides.values(), "of the matrix-product limit"]]
    for row in results["speed"][data]["rows"]:
        ratios = [times(row[side]) if side in row else "" for side in sides]
        limit = row["fraction_of_limit"]
        fraction = f"{limit['median']:.0%} ({limit['least']:.0%}–{limit['most']:.0%})"
        lines.append([f"`{row['model']}`", f"{row['ours_images_per_s']:,}", *ratios, fraction])
    return markdown(lines)


def times(ratio: Json) -> str:
    return f"{ratio['median']:.2f}x ({ratio['least']:.2f}–{ratio['most']:.2f})"


def of_commands(results: Json, which: str) -> str:
    """Seconds and memory of the commands, or samples/s of the models."""
    found = results["commands"]
    if which == "samples":
        rates = found["samples_per_s"]
        return markdown([[f"`{model}`" for model in rates], [f"{rate:,}" for rate in rates.values()]])
    lines = [["command", "seconds, median (range)", "peak memory, MiB"]]
    for row in found["commands"]:
        low, high = row["seconds_range"]
        lines.append([f"`{row['command']}`", f"{row['seconds']} ({low}–{high})", f"{row['peak_mib']:,}"])
    return markdown(lines)


def of_layers(results: Json, which: str) -> str:
    """Our layers beside PyTorch's."""
    lines = [["layer", "ours, ms", "PyTorch's, ms", "ratio"]]
    for row in results["layers"]["rows"]:
        lines.append([row["layer"], f"{row['ours_ms']:.2f}", f"{row['torch_ms']:.2f}", times(row["ratio"])])
    return markdown(lines)


def of_quality(results: Json, data: str) -> str:
    """Seconds to the course loop's last FID, and what both loops end with."""
    lines = [
        [
            "model",
            "epochs",
            "seconds, course loop",
            "seconds, ours",
            "ratio of medians",
            "last FID, course loop",
            "ours",
        ]
    ]
    for row in results["quality"][data]["rows"]:
        if "target" in row:
            seconds = [row[side]["seconds_to_target"] for side in ("course", "ours")]
            theirs, ours = (statistics.median(math.inf if s is None else s for s in side) for side in seconds)
            speed = f"{theirs / ours:.2f}x" if max(theirs, ours) < math.inf else "–"
            cells = [", ".join("never" if s is None else f"{s:.0f}" for s in side) for side in seconds]
            ends = [over_seeds(row[side]["fid"]) for side in ("course", "ours")]
            lines.append([f"`{row['model']}`", str(row["epochs"]), *cells, speed, *ends])
    return markdown(lines)


def of_losses(results: Json, data: str) -> str:
    """The last epoch's mean losses of both loops."""
    lines = [["model", "loss", "course loop", "ours"]]
    for row in results["quality"][data]["rows"]:
        for term, values in row["course"]["losses"].items():
            ours = row["ours"]["losses"][term]
            lines.append([f"`{row['model']}`", f"`{term}`", over_seeds(values), over_seeds(ours)])
    return markdown(lines)


def of_reuse(results: Json, which: str) -> str:
    """The generator's loss by reused and by new noise."""
    lines = [["model", "by the reused noise", "by new noise", "difference"]]
    for row in results["reused-noise"]["rows"]:
        difference = f"{row['difference']:.4f} ± {row['error']:.4f}"
        lines.append([f"`{row['model']}`", f"{row['reused']:.4f}", f"{row['new']:.4f}", difference])
    return markdown(lines)


def over_seeds(values: list[float]) -> str:
    std = statistics.stdev(values) if len(values) > 1 else None
    return plus_minus({"mean": statistics.mean(values), "std": std})


def of_pairs(results: Json, which: str) -> str:
    """Speed and memory of an epoch of every model, the data sets side by side."""
    by = {(row["model"], row["data"]): row for row in results["pairs"]["rows"]}
    data = list(dict.fromkeys(name for _, name in by))
    lines = [["model", *(head for name in data for head in (f"{name}, images/s", "peak memory, MiB"))]]
    for model in dict.fromkeys(model for model, _ in by):
        rows = [by[model, name] for name in data]
        cells = [f"{row[key]:,}" for row in rows for key in ("images_per_s", "peak_memory_mib")]
        lines.append([f"`{model}`", *cells])
    return markdown(lines)


def of_memory(results: Json, which: str) -> str:
    """A folder against the number of its images, or what a million would cost."""
    return markdown({"points": memory.points, "million": memory.million}[which](results["memory"]))


def of_scoring(results: Json, which: str) -> str:
    """Our score command beside torch-fidelity's."""
    said = {"new": "everything to be computed", "cached": "real images in both caches"}
    lines = [["", "ours, s", "torch-fidelity, s", "ratio"]]
    for row in results["score-speed"]["rows"]:
        sides = [row[side] for side in ("ours_s", "torch_fidelity_s")]
        cells = [f"{s['median']:.1f} ({s['least']:.1f}–{s['most']:.1f})" for s in sides]
        lines.append([said[row["what"]], *cells, times(row["ratio"])])
    return markdown(lines)


def of_profiles(results: Json, which: str) -> str:
    """Milliseconds of a step by kind of operator, before and after."""
    kinds = results["profiles"]["kinds"]
    lines = [["model", "", "a step, ms", *kinds, "page faults"]]
    for row in results["profiles"]["rows"]:
        for side in ("before", "after"):
            found = row[side]
            parts = [f"{found['ms_by_kind'][kind]:.1f}" if kind in found["ms_by_kind"] else "" for kind in kinds]
            whole = f"{found['ms_a_step']:.1f}"
            lines.append([f"`{row['model']}`", side, whole, *parts, f"{found['page_faults_a_step']:,}"])
    return markdown(lines)


def of_compiled(results: Json, which: str) -> str:
    """What torch.compile makes of a step."""
    lines = [["model", "compiling, s", "speed compiled over not"]]
    for row in results["compiled"]["rows"]:
        lines.append([f"`{row['model']}`", f"{row['compiling_s']:.0f}", times(row["ratio"])])
    return markdown(lines)


def of_calibration(results: Json, data: str) -> str:
    """Claimed over true standard error by metric, and in brackets how many draws lay within twice the error."""
    cells = {
        f"{cell.partition('/')[2]}, n = {int(n):,}": found["rows"]
        for cell, sizes in results["calibration"].items()
        if cell.partition("/")[0] == data
        for n, found in sizes.items()
    }
    lines = [["", *cells]]
    for label in dict.fromkeys(label for rows in cells.values() for label in rows):
        found = [(rows.get(label) or {}).get("both") for rows in cells.values()]
        known = [None if one is None or one["ratio"] is None else one for one in found]
        lines.append([label, *("–" if one is None else f"{one['ratio']:.2f} ({one['covered']:.2f})" for one in known)])
    return markdown(lines)


def of_copies(results: Json, data: str) -> str:
    """Share of draws that are flagged, by kind and share of copies; under 0 the honest sets."""
    rows = results["copies"][data]["rows"]
    sizes = list(dict.fromkeys(row["n"] for row in rows))
    by = {(row["what"], row["share"], row["n"]): row["flagged"] for row in rows}
    heads = [f"{name}, n = {n:,}" for n in sizes for name in ("near-copies", "C_T")]
    lines = [[f"{data}: images", "copies", *heads]]
    for what, share in dict.fromkeys((row["what"], row["share"]) for row in rows):
        cells = [f"{by[what, share, n][name]:.0%}" for n in sizes for name in ("near-copies", "ct")]
        lines.append([what, f"{share:.0%}" if share else "none", *cells])
    return markdown(lines)


KINDS: dict[str, Callable[[Json, str], str]] = {
    "data": of_data,
    "model": of_model,
    "tuned": of_tuned,
    "search": of_search,
    "speed": of_speed,
    "commands": of_commands,
    "layers": of_layers,
    "compiled": of_compiled,
    "profiles": of_profiles,
    "quality": of_quality,
    "losses": of_losses,
    "reuse": of_reuse,
    "pairs": of_pairs,
    "memory": of_memory,
    "scoring": of_scoring,
    "calibration": of_calibration,
    "copies": of_copies,
}


def read() -> Json:
    """All results that pages quote."""
    results: Json = {grid: json.loads((RESULTS / grid / "comparison.json").read_text()) for grid in GRIDS}
    results["search"] = {path.stem: json.loads(path.read_text()) for path in (RESULTS / "search").glob("*.json")}
    results["speed"] = {"mnist": json.loads((RESULTS / "speed-mnist.json").read_text())}
    results["quality"] = {"mnist": json.loads((RESULTS / "quality-mnist.json").read_text())}
    single = (
        "calibration",
        "commands",
        "compiled",
        "copies",
        "layers",
        "memory",
        "pairs",
        "profiles",
        "reused-noise",
        "score-speed",
    )
    return results | {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in single}


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
    for page in PAGES:
        page.write_text(filled(page.read_text(), results))


if __name__ == "__main__":
    main()
