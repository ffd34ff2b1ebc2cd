"""Tables of the app: how long Explore takes to answer, and how often the intervals of the human test hold."""

from __future__ import annotations

from .text import Json, markdown

ANSWERS = {"median_ms": "median, ms", "p99_ms": "99th percentile, ms", "cpu_ms": "processor, ms"}
RATERS = ("10", "20", "60")
INTERVALS = {  # by their names in benchmarks/raters.py
    "ours: t on the logit scale": "**t on the logit scale**",
    "t": "t",
    "bootstrap: raters (HYPE)": "bootstrap of raters, HYPE's",
    "bootstrap: raters and images": "bootstrap of raters and, within, of images",
    "Wilson, pooled": "Wilson, all judgements together",
}


def of_explore(results: Json, which: str) -> str:
    """Milliseconds of an answer, a column a model."""
    models = results["explore"]["models"]
    lines = [["", *models]]
    lines += [[words, *(f"{of[key]:.1f}" for of in models.values())] for key, words in ANSWERS.items()]
    return markdown(lines)


def of_raters(results: Json, which: str) -> str:
    """The least and the most of the coverages over the models, in %."""
    found = results["raters"]["summary"]
    lines = [["", *(f"{raters} raters" for raters in RATERS)]]
    for name, words in INTERVALS.items():
        spans = [(100 * found[raters][name][0], 100 * found[raters][name][-1]) for raters in RATERS]
        lines.append([words, *(f"{least:.1f} to {most:.1f}" for least, most in spans)])
    return markdown(lines)


KINDS = {"explore": of_explore, "raters": of_raters}
