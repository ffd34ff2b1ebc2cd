"""How long a model trains with its defaults, for `counterfeit list models` and `train MODEL --help`."""

from __future__ import annotations

from .text import Json

SETS = ("mnist", "cifar10")  # in the order in which the list shows them


def minutes(results: Json) -> Json:
    """By model and data set, minutes on 2 cores, as benchmarks/minutes.py measured them; models of both sets only."""
    found = {(row["model"], row["data"]): row["minutes"] for row in results["minutes"]["rows"]}
    models = dict.fromkeys(model for model, _ in found)
    return {
        model: {data: found[model, data] for data in SETS}
        for model in models
        if all((model, data) in found for data in SETS)
    }


def of(results: Json, model: str, data: str) -> float | None:
    """Of a run by the model's recipe; None if they were not measured."""
    rows = results["minutes"]["rows"]
    return next((row["minutes"] for row in rows if (row["model"], row["data"]) == (model, data)), None)


def in_words(results: Json, model: str, data: str) -> str:
    took = of(results, model, data)
    return "–" if took is None else f"{took:.1f}"
