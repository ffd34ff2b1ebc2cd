"""Tables of speed and memory."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import memory
from tables.text import Json, markdown, over_seeds, times


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


BUSY_SIDES = {
    "ours": "ours",
    "ours_spinning": "ours, threads that spin",
    "course": "course loop",
    "pythae": "Pythae",
}


def of_busy(results: Json, which: str) -> str:
    """How many times as long things take beside others, and what is faster there."""
    found = results["busy"]
    if which == "together":
        lines = [["model", "each of two at once, of its speed alone", "threads that spin"]]
        for row in found["two_at_once"]:
            parts = row["of_its_speed_alone"]
            shares = [f"{p['median']:.0%} ({p['least']:.0%}–{p['most']:.0%})" for p in parts.values()]
            lines.append([f"`{row['model']}`", *shares])
        return markdown(lines)
    if which == "idle":
        lines = [["model", "pairs of stretches", "speed over that of threads that spin"]]
        pairs = [[f"`{row['model']}`", str(row["pairs"]), times(row["over_spinning"])] for row in found["idle"]]
        return markdown([*lines, *pairs])
    if which == "limits":
        lines = [["model", "threads on one core of several", "speed over that of `--threads 1`"]]
        rows = [[f"`{row['model']}`", str(row["threads"]), times(row["over_threads_1"])] for row in found["one_core"]]
        return markdown([*lines, *rows])
    lines = [["", "side", "idle", "beside 1 process", "beside 2", "times as long beside 1", "beside 2"]]
    for row in found["rows"]:
        measured = row.get("images_per_s") or row["seconds"]
        unit = "images/s" if "images_per_s" in row else "s"
        for side, values in measured.items():
            cells = [f"{value:,} {unit}" for value in values]
            lines.append([f"`{row['model']}`", BUSY_SIDES[side], *cells, *map(times, row["over_idle"][side])])
    return markdown(lines)


def of_commands(results: Json, which: str) -> str:
    """Seconds and memory of the commands, or samples/s of the models."""
    found = results["commands"]
    if which == "samples":
        rates = found["samples_per_s"]
        return markdown([[f"`{model}`" for model in rates], [f"{rate:,}" for rate in rates.values()]])
    before = any("before" in row for row in found["commands"])
    more = ["before: seconds", "MiB"] if before else []
    lines = [["command", "seconds, median (range)", "peak memory, MiB", *more]]

    def cells(of: Json) -> list[str]:
        low, high = of["seconds_range"]
        return [f"{of['seconds']} ({low}–{high})", f"{of['peak_mib']:,}"]

    for row in found["commands"]:
        lines.append([f"`{row['command']}`", *cells(row), *(cells(row["before"]) if before else [])])
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


def of_bombs(results: Json, which: str) -> str:
    """What files of strangers cost."""
    lines = [["file", "what comes of it", "peak MiB", "seconds"]]
    for row in results["bombs"]["rows"]:
        loaded = row["said"].startswith("loaded")
        lines.append([row["case"], "read" if loaded else "refused in one line", f"{row['peak_mib']:,}", row["seconds"]])
    return markdown([[str(cell) for cell in line] for line in lines])


def of_compiled(results: Json, which: str) -> str:
    """What torch.compile makes of a step."""
    lines = [["model", "compiling, s", "speed compiled over not"]]
    for row in results["compiled"]["rows"]:
        lines.append([f"`{row['model']}`", f"{row['compiling_s']:.0f}", times(row["ratio"])])
    return markdown(lines)


def of_gpu(results: Json, which: str) -> str:
    """Training on a card: steps, whole runs beside the CPU's, or the card's name."""
    return {"rates": gpu_rates, "runs": gpu_runs, "machine": gpu_machine}[which](results)


def gpu_machine(results: Json) -> str:
    found = results["gpu"]
    made, features = found["made_by"], found["inception"]
    card, cpus, torch = made["machine"]["device"], made["machine"]["cpus"], made["versions"]["torch"]
    rate = f"{features['images']:,} Inception features of 32x32 images take {features['seconds']:.0f} s"
    return f"One {card}, {cpus} processors beside it, PyTorch {torch}. {rate}.\n"


def gpu_rates(results: Json) -> str:
    rows = results["gpu"]["rates"]
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    lines = [["model", *(f"{one}, images/s (over the plain step)" for one in precisions)]]
    for model in dict.fromkeys(row["model"] for row in rows):
        cells = [f"{row['recorded']:,} ({row['ratio']:.1f}x)" for row in rows if row["model"] == model]
        lines.append([f"`{model}`", *cells])
    return markdown(lines)


def gpu_runs(results: Json) -> str:
    rows, on_cpu = results["gpu"]["runs"], results["seed"]["runs"]
    lines = [["command", "training, s", "whole command, s", "FID", "FID of the CPU's"]]
    for command in dict.fromkeys(row["command"] for row in rows):
        seeds = [row for row in rows if row["command"] == command]
        peers = [run for run in on_cpu if (run["model"], run["data"]) == (seeds[0]["model"], "mnist")]
        fids = [row["fid"] for row in seeds], [fid_of(run) for run in peers]
        seconds = [statistics.median(row[key] for row in seeds) for key in ("train_seconds", "command_seconds")]
        lines.append([f"`{command}`", *(f"{s:.1f}" for s in seconds), *map(over_seeds, fids)])
    return markdown(lines)


def fid_of(run: Json) -> float:
    return next(one["value"] for label, one in run["score"]["metrics"].items() if label.startswith("FID["))


KINDS: dict[str, Callable[[Json, str], str]] = {
    "speed": of_speed,
    "busy": of_busy,
    "commands": of_commands,
    "layers": of_layers,
    "quality": of_quality,
    "losses": of_losses,
    "reuse": of_reuse,
    "pairs": of_pairs,
    "memory": of_memory,
    "scoring": of_scoring,
    "profiles": of_profiles,
    "compiled": of_compiled,
    "bombs": of_bombs,
    "gpu": of_gpu,
}
