"""Tables of the models' scores, from the comparisons of the grids."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

from counterfeit.system.words import number, plus_minus
from tables.minutes import in_words as minutes_of
from tables.minutes import named as recipe
from tables.minutes import recipe as command
from tables.text import Json, markdown, over_seeds, real_images, seeds

FRONTIER = ("frontier", "better", "logistic", "paper", "hour", "long")  # grids that `make frontier` begins
GRIDS = ("seed", "tuned", *FRONTIER)  # of benchmarks/grids
TUNED = "-tuned"  # ends the names of recipes that the search found
CURVE = ("best epoch, FID of 2,000", "at", "last epoch")
PICTURES = "../images/models"  # beside docs/models
SHOWN = ("FID", "KID", "IS", "Precision", "Recall", "Density", "Coverage")


def named(table: Json, label: str) -> str:
    """The full name of a score: `FID` -> `FID[mnist-cnn]`."""
    return next(name for name in table["columns"] if name.partition("[")[0] == label)


def of_data(results: Json, data: str) -> str:
    """All models by the report's settings on one data set, best first, and the floor."""
    table = table_of(results, "seed", data)
    names = [named(table, label) for label in SHOWN]
    lines = [["rank", "model", "seeds", names[0], *SHOWN[1:], "minutes"]]
    for row in table["rows"]:
        scores = [plus_minus(row["metrics"][name]) for name in names]
        rank = "–" if row["rank"] is None else str(row["rank"])
        took = minutes_of(results, row, data)
        lines.append([rank, f"[`{row['label']}`]({row['model']}.md)", seeds(results, row), *scores, took])
    lines.append(["", "real images", "", *(real_images(table, name) for name in names), ""])
    return markdown(lines)


def table_of(results: Json, grid: str, data: str) -> Json:
    (table,) = (table for table in results[grid]["tables"] if table["data"] == data)
    return table


def row_of(table: Json, model: str) -> Json:
    (row,) = (row for row in table["rows"] if row["model"] == model)
    return row


def of_model(results: Json, model: str) -> str:
    """One model on every data set, by its recipe and by the one that a search found; epochs where they were scored.

    Below it, the last grid of samples that each row's first seed drew.
    """
    found = [
        (table, row)
        for grid in GRIDS
        for table in results[grid]["tables"]
        for row in table["rows"]
        if row["model"].removesuffix(TUNED) == model
    ]
    curves = any(row["curve"] for _, row in found)
    lines = [["recipe", "data", "seeds", *SHOWN, *(CURVE if curves else ()), "minutes"]]
    for table, row in found:
        scores = [plus_minus(row["metrics"].get(named(table, label))) for label in SHOWN]
        best = [plus_minus((row["curve"] or {}).get(key)) for key in ("best", "best_epoch", "final") if curves]
        took = minutes_of(results, row, table["data"])
        lines.append([f"`{command(row)}`", table["data"], seeds(results, row), *scores, *best, took])
    drawn = [f"![{recipe(row)} on {table['data']}]({PICTURES}/{picture(row, table['data'])})" for table, row in found]
    return "\n".join([markdown(lines), "Samples of the first seed that nobody chose, of each row:", "", *drawn, ""])


def picture(row: Json, data: str) -> str:
    """The file of a row's samples."""
    return f"{recipe(row).replace(' --', '-').replace(' ', '-').replace(',', '-')}-{data}.png"


def of_tuned(results: Json, data: str) -> str:
    """Every model that was tuned, beside itself by the report's settings."""
    tuned, exact = table_of(results, "tuned", data), table_of(results, "seed", data)
    names = [named(exact, label) for label in SHOWN]
    lines = [["recipe", "seeds", names[0], *SHOWN[1:], "minutes"]]
    for model in (row["model"].removesuffix(TUNED) for row in exact["rows"]):
        if any(row["model"] == model + TUNED for row in tuned["rows"]):
            for row in (row_of(exact, model), row_of(tuned, model + TUNED)):
                scores = [plus_minus(row["metrics"][name]) for name in names]
                took = minutes_of(results, row, data)
                lines.append([f"`{row['model']}`", seeds(results, row), *scores, took])
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


def of_trials(results: Json, model: str) -> str:
    """What was tried of a model, a run of one seed each, best first on each data set."""
    lines = [["a run of", "data", "seed", "FID"]]
    for row in results["trials"]["rows"]:
        if row["model"] == model:
            lines.append([f"`{row['recipe']}`", row["data"], str(row["seed"]), number(row["fid"])])
    return markdown(lines)


def of_samplers(results: Json, which: str) -> str:
    """FID by where the latents come from."""
    rows = results["samplers"]["rows"]
    lines = [["model", "sampler", "seeds", "FID[mnist-cnn]", "PRDC-precision", "PRDC-recall", "fitted in, s"]]
    groups: dict[tuple[str, str], list[Json]] = {}
    for row in rows:
        name = f"`{row['sampler']}`" + (f", {row['components']}" if "components" in row else "")
        groups.setdefault((row["model"], name), []).append(row)
    for (model, sampler), of in groups.items():
        values = [over_seeds([row[name] for row in of]) for name in ("FID", "PRDC-precision", "PRDC-recall")]
        seconds = "" if sampler == "`own`" else f"{median(row['seconds'] for row in of):.0f}"
        lines.append([f"`{model}`", sampler, str(len(of)), *values, seconds])
    return markdown(lines)


KINDS: dict[str, Callable[[Json, str], str]] = {
    "data": of_data,
    "model": of_model,
    "tuned": of_tuned,
    "search": of_search,
    "trials": of_trials,
    "samplers": of_samplers,
}
