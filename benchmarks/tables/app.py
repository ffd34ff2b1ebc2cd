"""Tables of the app: how long it takes to answer, what attacks get, how often the intervals of the human test hold."""

from __future__ import annotations

import statistics

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


def of_load(results: Json, which: str) -> str:
    """Answers to raters and explorers while a training runs, or what an idle app costs a training."""
    found = results["load"]
    if which == "training":
        lines = [["beside the training", "its images/s, over those alone", "least and most", "pairs"]]
        for what, words in {
            "idle": "an app that nobody looks at",
            "watched": "an app, and the page of its run",
        }.items():
            ratios = found["training"]["ratios"][what]
            ends = f"{min(ratios):.2f} to {max(ratios):.2f}"
            lines.append([words, f"{statistics.median(ratios):.2f}", ends, str(len(ratios))])
        return markdown(lines)
    lines = [["", "answers", "median, ms", "99th percentile, ms", "slowest, ms"]]
    for name, one in found["answers"].items():
        lines.append([name, f"{one['answers']:,}", *(f"{one[key]:,.0f}" for key in ("median_ms", "p99_ms", "most_ms"))])
    return markdown(lines)


def of_raters(results: Json, which: str) -> str:
    """The least and the most of the coverages over the models, in %."""
    found = results["raters"]["summary"]
    lines = [["", *(f"{raters} raters" for raters in RATERS)]]
    for name, words in INTERVALS.items():
        spans = [(100 * found[raters][name][0], 100 * found[raters][name][-1]) for raters in RATERS]
        lines.append([words, *(f"{least:.1f} to {most:.1f}" for least, most in spans)])
    return markdown(lines)


def of_attacks(results: Json, which: str) -> str:
    """A row an attack: how often it got what, in how many seconds, at which cost."""
    lines = [["attack", "what it gets", "seconds", "memory, MB", "others wait, s"]]
    for name, one in results["attacks"]["attacks"].items():
        got = ", ".join(f"{n:,}x {what}" for what, n in one["got"].items())
        lines.append([name, got, *(f"{one[key]:.1f}" for key in ("seconds", "memory_mb", "others_wait_s"))])
    return markdown(lines)


KINDS = {"explore": of_explore, "raters": of_raters, "attacks": of_attacks, "load": of_load}
