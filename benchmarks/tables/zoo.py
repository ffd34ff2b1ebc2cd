"""Tables of what single models do: steps of samplers, guidance, codebooks, few images, budgets, and their speed."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from counterfeit.system.words import number

from .text import Json, markdown, over_seeds, times

NOT_YET = "Not measured yet: `python benchmarks/{script}`.\n"


def measured(name: str, script: str, table: Callable[[Json, str], str]) -> Callable[[Json, str], str]:
    """The table of one file of results, or where that is missing, how it is made."""

    def of(results: Json, which: str) -> str:
        return table(results[name], which) if name in results else NOT_YET.format(script=script)

    return of


def of_steps(found: Json, model: str) -> str:
    """FID by runs of the network per image, a line a solver."""
    rows = [row for row in found["rows"] if row["model"] == model]
    if not rows:
        return NOT_YET.format(script="steps.py")
    runs = {1: "euler", 2: "midpoint heun"}  # of the network, for a step
    cost = {name: each for each, names in runs.items() for name in names.split()}
    columns = sorted({row["steps"] * cost.get(row.get("solver", ""), 1) for row in rows})
    lines = [[f"FID of {rows[0]['n']:,} after so many network runs", *map(str, columns)]]
    for solver in dict.fromkeys(row.get("solver", "DDIM") for row in rows):
        by = {row["steps"] * cost.get(solver, 1): row["FID"] for row in rows if row.get("solver", "DDIM") == solver}
        lines.append([f"`{solver}`" if solver in cost else solver, *(number(by.get(column)) for column in columns)])
    return markdown(lines)


def of_guidance(found: Json, model: str) -> str:
    """Scores by the scale of guidance."""
    rows = [row for row in found["rows"] if row["model"] == model]
    if not rows:
        return NOT_YET.format(script="steps.py")
    lines = [["`--guidance`", f"FID of {rows[0]['n']:,}", "label accuracy", "PRDC-precision", "PRDC-recall"]]
    for row in rows:
        scores = [number(row[name]) for name in ("FID", "Label-accuracy", "PRDC-precision", "PRDC-recall")]
        lines.append([f"{row['guidance']:g}", *scores])
    return markdown(lines)


def of_codes(found: Json, which: str) -> str:
    return markdown({"epochs": codes_by_epoch, "samples": codes_by_prior}[which](found))


def codes_by_epoch(found: Json) -> list[list[str]]:
    """How many codes are in use, and how evenly, while there is an autoencoder to train; then the prior's loss."""
    lines = [["epoch", "reconstruction", "codes with any use", "perplexity of the use", "prior, nats per code"]]
    for row in found["epochs"]:
        used = f"{row['used'] * found['codes']:.0f} of {found['codes']}" if "used" in row else ""
        cells = [number(row[key]) if key in row else "" for key in ("reconstruction", "perplexity", "prior")]
        lines.append([str(row["epoch"]), cells[0], used, *cells[1:]])
    return lines


def codes_by_prior(found: Json) -> list[list[str]]:
    lines = [["codes of samples", f"FID of {found['n']:,}", "PRDC-precision", "PRDC-recall"]]
    for row in found["samples"]:
        name = f"`--prior {row['prior']}`" + (f", `--temperature {row['temperature']}`" if "temperature" in row else "")
        lines.append([name, *(number(row[key]) for key in ("FID", "PRDC-precision", "PRDC-recall"))])
    return lines


def of_few(found: Json, which: str) -> str:
    """Scores with and without changed images, over seeds."""
    lines = [["model", "steps", "`--augment`", "seeds", "FID[cifar10-cnn]", "PRDC-precision", "PRDC-recall"]]
    kind = itemgetter("model", "steps", "augment")
    for model, steps, augment in sorted(dict.fromkeys(map(kind, found["rows"])), key=itemgetter(0, 1)):
        of = [row for row in found["rows"] if kind(row) == (model, steps, augment)]
        scores = [over_seeds([row[name] for row in of]) for name in ("FID", "PRDC-precision", "PRDC-recall")]
        lines.append([f"`{model}`", f"{steps:,}", f"`{augment}`", str(len(of)), *scores])
    return markdown(lines)


def of_budget(found: Json, which: str) -> str:
    """What was planned and what was used."""
    lines = [["", "steps", "planned, s", "used, s", "the whole command, s"]]
    for row in found["rows"]:
        name = f"`{row['model']}` on {row['data']}, `--budget {row['budget']}`"
        seconds = [f"{row[key]:.0f}" for key in ("planned_s", "used_s", "command_s")]
        lines.append([name, f"{row['steps']:,}", *seconds])
    return markdown(lines)


def of_nets(found: Json, which: str) -> str:
    """Steps, or samples, with our layers and with PyTorch's own."""
    lines = [["network", "images/s, one thread", "over PyTorch's own layers", "of the matrix-product limit"]]
    for row in found["rows"]:
        net, stage = f" --net {row['net']}" if row["net"] else "", f", {row['stage']}" if row.get("stage") else ""
        name = f"`{row['model']}{net}`{stage}, {row['data']}"
        lines.append([name, f"{row['images_per_s']:,.0f}", times(row["ratio"]), f"{row['share_of_limit']:.0%}"])
    return markdown(lines)


PEERS = {
    "torchcfm": "torchcfm's example of MNIST",
    "diffusers": "diffusers' unconditional loop",
    "script": "a single file like PyTorch-GAN's, on the same networks",
}


def of_loops(found: Json, which: str) -> str:
    return markdown({"rates": loops_rates, "peers": loops_peers}[which](found))


def loops_rates(found: Json) -> list[list[str]]:
    """Rates of ours, and how near they are to the limit."""
    lines = [["model", "images/s", "of the matrix-product limit", "in bfloat16"]]
    for row in found["rows"]:
        limit = row["fraction_of_limit"]
        fraction = f"{limit['median']:.0%} ({limit['least']:.0%}–{limit['most']:.0%})"
        lines.append([f"`{row['model']}`", f"{row['ours_images_per_s']:,}", fraction, times(row["bfloat16_over_ours"])])
    return lines


def loops_peers(found: Json) -> list[list[str]]:
    """Rates beside the peers, and what the networks of both have."""
    lines = [["model", "beside", "images/s", "theirs", "ratio", "weights", "theirs", "MFLOP per image", "theirs"]]
    for row in (row for row in found["rows"] if "peer" in row):
        of = [row["networks"][side] for side in ("ours", "peer")] if "networks" in row else []
        sizes = [f"{net['weights']:,}" for net in of] + [f"{net['mflop']:,.0f}" for net in of] or ["", "the same"] * 2
        rates = [f"{row[f'{side}_images_per_s']:,}" for side in ("ours", "peer")]
        lines.append([f"`{row['model']}`", PEERS[row["peer"]], *rates, times(row["over_peer"]), *sizes])
    return lines


def of_equal(found: Json, model: str) -> str:
    """Networks of a model, trained for equal minutes of one thread."""
    rows = [row for row in found["rows"] if row["model"] == model]
    if not rows:
        return NOT_YET.format(script="equal.py")
    minutes = rows[0]["minutes"]
    rows = [row for row in rows if row["minutes"] == minutes]
    names = ("FID", "PRDC-precision", "PRDC-recall")
    lines = [[f"{minutes:g} minutes of one thread", "weights", "steps", f"FID of {found['n']:,}", *names[1:]]]
    for row in rows:
        scores = [number(row[name]) for name in names]
        lines.append([f"`{row['options']}`", f"{row['weights']:,}", f"{row['steps']:,}", *scores])
    return markdown(lines)


def of_planted(found: Json, which: str) -> str:
    return {"failures": planted_failures, "rates": planted_rates}[which](found)


def planted_failures(found: Json) -> str:
    """What runs that had to fail said of themselves, and when."""
    lines = [["the command", "images", "of steps", "what it said", "after step"]]
    for row in (row for row in found["rows"] if not row["ten"]):
        said = [(one["line"].partition("; what usually")[0], f"{one['step']:,}") for one in row["said"]]
        said += [(row["ended"], "")] if row["ended"] else []
        nothing = "nothing"
        if codes := row.get("codes_in_use"):
            nothing += f": {codes[0]:,} of {codes[1]:,} codes are in use"
        for line, step in said or [(nothing, "")]:
            lines.append([f"`train {row['name']}`", f"{row['images']:,}", f"{row['steps']:,}", line, step])
    return markdown(lines)


def planted_rates(found: Json) -> str:
    """Whether ten times its rate leaves each model finite."""
    rows = [row for row in found["rows"] if row["ten"]]
    if not rows:
        return NOT_YET.format(script="planted.py")
    ended = [f"`{row['model']}` ends with “{row['ended']}”" for row in rows if row["ended"]]
    said = [
        f"`{row['model']}` says after step {one['step']:,} “{one['line'].partition('; what usually')[0]}”"
        for row in rows
        for one in row["said"]
    ]
    finite = [row for row in rows if not row["ended"]]
    (steps,) = {row["steps"] for row in rows}
    told = "; ".join([f"of {len(rows)} models, {len(finite)} stay finite over {steps:,} steps", *ended, *said])
    return f"{told[0].upper()}{told[1:]}.\n"


KINDS: dict[str, Callable[[Json, str], str]] = {
    "steps": measured("steps", "steps.py", of_steps),
    "guidance": measured("steps", "steps.py", of_guidance),
    "codes": measured("codes", "codes.py", of_codes),
    "few": measured("few-images", "few_images.py", of_few),
    "budget": measured("budget", "budget.py", of_budget),
    "nets": measured("nets-1", "nets.py", of_nets),
    "drawn": measured("drawn-1", "nets.py", of_nets),
    "loops": measured("loops", "loops.py", of_loops),
    "equal": measured("equal", "equal.py", of_equal),
    "planted": measured("planted", "planted.py", of_planted),
}
