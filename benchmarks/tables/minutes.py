"""How long a model trains with its defaults, for `counterfeit list models` and `train MODEL --help`."""

from __future__ import annotations

from counterfeit.models import MODELS
from counterfeit.settings import option

from .text import Json

SETS = ("mnist", "cifar10")  # in the order in which the list shows them
SAME_WORK = {
    "fashion-mnist": "mnist"
}  # as many images of the same size, whose minutes count where its own were not timed


def minutes(results: Json) -> Json:
    """By model and data set, minutes on 2 cores, as benchmarks/minutes.py measured them; models of both sets only."""
    found = {
        (row["model"], row["data"]): row["minutes"]
        for row in results["minutes"]["rows"]
        if row["model"] in MODELS and row["precision"] == MODELS[row["model"]].settings.precision
    }
    models = dict.fromkeys(model for model, _ in found)
    return {
        model: {data: found[model, data] for data in SETS}
        for model in models
        if all((model, data) in found for data in SETS)
    }


def of(results: Json, row: Json, data: str) -> float | None:
    """Of one of the runs of a row; None if that was not timed."""
    found = _timed(results, row, data)
    return None if found is None else found["minutes"]


def _timed(results: Json, row: Json, data: str) -> Json | None:
    timed = {(found["model"], found["data"], found["precision"]): found for found in results["minutes"]["rows"]}
    own, same = (timed.get((named(row), of, precision(row))) for of in (data, SAME_WORK.get(data)))
    return own or same


def precision(row: Json) -> str:
    """That of a row's training."""
    return row["settings"].get("precision", MODELS[row["model"]].settings.precision)


def in_words(results: Json, row: Json, data: str) -> str:
    """`≈ 11.2` where another machine has timed it beside a row whose minutes are known."""
    found = _timed(results, row, data)
    return "–" if found is None else f"{'≈ ' * ('beside' in found)}{found['minutes']:.1f}"


def named(row: Json) -> str:
    """`cr3gan`, or `cr3gan --epochs 28` with what is not the recipe's, but for the precision."""
    return changed(row["model"], row["settings"])


def changed(model: str, settings: Json) -> str:
    """A model with settings that are not its recipe's, but for the precision; rows of minutes have this name."""
    others = {name: value for name, value in settings.items() if name != "precision"}
    return " ".join([model, *(f"{option(name)} {typed(value)}" for name, value in others.items())])


def typed(value: object) -> str:
    """As on a command line, where several numbers of one option stand after each other."""
    return " ".join(f"{part:g}" for part in value) if isinstance(value, list) else f"{value}"


def recipe(row: Json) -> str:
    """The same with the precision, where that is not the model's own."""
    own = MODELS[row["model"]].settings.precision
    return named(row) + (f" --precision {precision(row)}" if precision(row) != own else "")
