"""How long a model trains with its defaults, for `counterfeit list models` and `train MODEL --help`."""

from __future__ import annotations

from counterfeit.catalog import DATA
from counterfeit.models import MODELS

from .text import Json

SETS = ("mnist", "cifar10")  # in the order in which the list shows them


def minutes(results: Json) -> Json:
    """By model and data set, minutes of training steps on 2 cores, from the images per second of benchmarks/pairs.py.

    Models of both sets only, whose length is in epochs.
    """
    rates = {(row["model"], row["data"]): row["images_per_s"] for row in results["pairs"]["rows"]}
    found = {}
    for name, spec in MODELS.items():
        if spec.settings.length[0] == "epochs" and all((name, data) in rates for data in SETS):
            seen = {data: spec.settings.epochs * DATA[data].counts["train"] for data in SETS}
            found[name] = {data: round(seen[data] / rates[name, data] / 60, 2) for data in SETS}
    return found
