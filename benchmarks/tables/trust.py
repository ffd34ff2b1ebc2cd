"""Tables that say how far scores can be trusted: standard errors, copies found, tests that rank."""

from __future__ import annotations

from collections.abc import Callable

from counterfeit.system.words import plus_minus
from tables.text import Json, markdown, over_seeds


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


def of_floors(results: Json, which: str) -> str:
    """What real images get, by data set; or FID of 5,000 against 5,000, of images that the detector knows and not."""
    return markdown({"all": floors_all, "fresh": floors_fresh}[which](results["floors"]))


def floors_all(found: Json) -> list[list[str]]:
    sets = {data: sizes for data, sizes in found.items() if data != "fresh"}
    most = str(max(int(n) for sizes in sets.values() for n in sizes))
    detectors = [sizes[most]["receipt"]["detector"]["name"] for sizes in sets.values()]
    lines = [[f"{int(most):,} real images", *(f"{data}, `{name}`" for data, name in zip(sets, detectors, strict=True))]]
    by_label = [{key.partition("[")[0]: one for key, one in sizes[most]["metrics"].items()} for sizes in sets.values()]
    lines += [[label, *(floor_of(labels[label]) for labels in by_label)] for label in by_label[0]]
    for n in sorted({int(n) for sizes in sets.values() for n in sizes} - {int(most)}, reverse=True):
        fids = [next(one for key, one in s[str(n)]["metrics"].items() if key.startswith("FID[")) for s in sets.values()]
        lines.append([f"FID of {n:,}", *map(floor_of, fids)])
    return lines


def floor_of(one: Json) -> str:
    """The floor, or of memorization the value, each with what stands after its ±."""
    value, spread = ("value", "uncertainty") if one["floor"] is None else ("floor", "floor_std")
    return plus_minus({"mean": one[value], "std": one[spread]})


def floors_fresh(found: Json) -> list[list[str]]:
    kinds = {"test": "test images against the other test images", "train": "training images against test images"}
    lines = [["FID of 5,000 against 5,000", *found["fresh"]]]
    lines += [
        [said, *(over_seeds(one["FID"][kind]) for one in found["fresh"].values())] for kind, said in kinds.items()
    ]
    return lines


def of_ranks(results: Json, which: str) -> str:
    """Tests that rank: what each errs and finds; the chosen one by rows and seeds, and where its assumptions fail."""
    return markdown({"tests": ranks_tests, "chosen": ranks_chosen, "noise": ranks_noise}[which](results["ranks"]))


def ranks_tests(found: Json) -> list[list[str]]:
    few, many = ("2", "3", "4", "6"), ("10", "15", "20")
    lines = [["test", "equal spreads", "unequal, 2 to 6 rows", "10 to 20 rows", "pairs parted", "at 2, 3, 5 seeds"]]
    for test in found["tests"]:
        worst = [max(test["unequal"][rows] for rows in group) for group in (few, many)]
        power = test["power"]
        again = " / ".join(f"{share:.0%}" for share in power["again"].values())
        shown = [f"{error:.3f}" for error in (test["equal"], *worst)]
        lines.append([test["test"], *shown, f"{power['parted']} of {power['pairs']}", again])
    return lines


def ranks_chosen(found: Json) -> list[list[str]]:
    kinds = list(dict.fromkeys(row["seeds"] for row in found["chosen"]))
    by = {(row["rows"], row["seeds"]): row for row in found["chosen"]}
    lines = [["rows", *(f"{kind} seeds" for kind in kinds)]]
    for rows in dict.fromkeys(rows for rows, _ in by):
        cells = [by[rows, kind] for kind in kinds]
        lines.append([str(rows), *(f"{cell['equal']:.3f} / {cell['unequal']:.3f}" for cell in cells)])
    return lines


def ranks_noise(found: Json) -> list[list[str]]:
    lines = [["seeds scatter", "spreads", "2 seeds", "3 seeds", "5 seeds"]]
    lines += [[row["noise"], row["spreads"], *(f"{row[kind]:.3f}" for kind in "235")] for row in found["noise"]]
    return lines


KINDS: dict[str, Callable[[Json, str], str]] = {
    "calibration": of_calibration,
    "copies": of_copies,
    "floors": of_floors,
    "ranks": of_ranks,
}
