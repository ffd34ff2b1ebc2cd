"""What the models were built to reach, beside what they reach."""

from __future__ import annotations

import statistics

from . import minutes
from .frontier import rows_of
from .scores import named
from .text import Json, markdown

HOPED = (("mnist", 15, 5), ("mnist", 60, 3), ("cifar10", 15, 60), ("cifar10", 60, 35))  # data, minutes, FID
VAES = ("vae", "cvae", "conv-vae", "beta-vae")


def table(results: Json, which: str) -> str:
    """A row for each goal."""
    scores = {minutes.named(row): row["metrics"][named(of, "FID")]["mean"] for of, row in rows_of(results, "mnist")}
    fid = {model: scores[model] for model in (*VAES, "ae", "vq-vae")}
    best = min((name for name in scores if name.split()[0] in VAES), key=lambda name: scores[name])
    convolutional = min((name for name in scores if name.split()[0] == "conv-vae"), key=lambda name: scores[name])
    lines = [["goal", "reached", "by", "met"], *(_within(results, *goal) for goal in HOPED)]
    for name in dict.fromkeys(("conv-vae", convolutional)):
        lines.append(_half("`conv-vae`", "`vae`'s", scores[name] / fid["vae"], f"`{name}`, its own prior"))
    for model, of, whose in (("conv-vae", "vae", "`vae`'s"), ("ae", "ae", "its own")):
        score, sampler = _best_sampler(results, model)
        lines.append(_half(f"a sampler on `{model}`", whose, score / fid[of], sampler))
    behind = f"the best VAE, `{best}`, has {scores[best]:.3g}"
    ahead = fid["vq-vae"] < scores[best]
    lines.append(["`vq-vae` with its prior ahead of every VAE", f"{fid['vq-vae']:.3g}", behind, _met(ahead)])
    return markdown(lines)


def _within(results: Json, data: str, most: float, hoped: float) -> list[str]:
    """The lowest FID within so many minutes, and where that is not enough, the lowest of all."""

    def told(row: Json) -> str:
        return f"`{minutes.recipe(row)}` in {minutes.in_words(results, row, data)} minutes"

    found = sorted(((score, took, row) for took, score, row in _scored(results, data)), key=lambda one: one[0])
    score, _, row = next(one for one in found if one[1] <= most)
    by, best = told(row), found[0]
    if score > hoped and best[0] < score:
        by += f" ({best[0]:.3g} by {told(best[2])})"
    return [f"FID on {data} ≤ {hoped} within {most} minutes", f"{score:.3g}", by, _met(score <= hoped)]


def _half(what: str, whose: str, share: float, by: str) -> list[str]:
    return [f"FID of {what} at most half of {whose}, MNIST", f"{share:.2f} of it", by, _met(share <= 0.5)]


def _best_sampler(results: Json, model: str) -> tuple[float, str]:
    """The lowest mean FID over seeds of a fitted sampler, and its name."""
    scores: dict[str, list[float]] = {}
    for row in results["samplers"]["rows"]:
        if row["model"] == model and row["sampler"] != "own":
            many = f", {row['components']} components" if "components" in row else ""
            scores.setdefault(f"`--sampler {row['sampler']}`{many}", []).append(row["FID"])
    return min((statistics.mean(values), name) for name, values in scores.items())


def _scored(results: Json, data: str) -> list[tuple[float, float, Json]]:
    """Minutes, mean FID and row of all that was timed."""
    found = [(minutes.of(results, row, data), of, row) for of, row in rows_of(results, data)]
    return [(took, row["metrics"][named(of, "FID")]["mean"], row) for took, of, row in found if took is not None]


def _met(yes: bool) -> str:
    return "yes" if yes else "**no**"


KINDS = {"goals": table}
