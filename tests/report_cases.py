"""Made-up comparisons as comparison.json holds them, one-color pictures, a reader of pages."""

from __future__ import annotations

import random
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from PIL import Image

from counterfeit.comparison import render
from counterfeit.comparison import table as over_seeds
from counterfeit.models import MODELS
from counterfeit.models.base import Encodes, HasTerms
from counterfeit.report import render as page
from counterfeit.report.records import Comparison, RunRow, Table, of_json, to_json
from loop_cases import can

Json = dict[str, Any]

LABELS = {
    "FID": ("lower", 0.86, 100.0),
    "KID": ("lower", 0.0024, 2.0),
    "IS": ("higher", 5.96, 3.0),
    "Precision": ("higher", 0.80, 0.4),
    "Recall": ("higher", 0.84, 0.3),
    "Density": ("higher", 0.87, 0.4),
    "Coverage": ("higher", 0.93, 0.3),
    "Near-copies": ("like the test set", None, 0.01),
    "Near-copies (test)": ("like the test set", None, 0.02),
    "C_T": ("like the test set", None, 5.0),
    "C_T (test)": ("like the test set", None, 0.1),
}
MACHINE = {"platform": "Linux", "cpus": 2, "threads": 2, "device": "cpu"}
VERSIONS = {"counterfeit": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"}


def spread(values: Sequence[float]) -> Json:
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None, "values": list(values)}


def comparison(
    models: Sequence[str] = ("vae", "gan"), data: Sequence[str] = ("mnist",), seeds: int = 2, home: str = "runs"
) -> Json:
    """A comparison of so many seeds, with curves, and scores that grow along the models."""
    rng = random.Random(0)
    runs = [
        run(model, name, seed, f"{home}/{model}-{name}-s{seed}", 1 + i, rng)
        for name in data
        for i, model in enumerate(models)
        for seed in range(seeds)
    ]
    return {
        "title": "seed grid",
        "made_by": {
            "time": "2026-01-01T00:00:00+00:00",
            "command": ["counterfeit", "compare", "grid.toml"],
            "versions": VERSIONS,
            "code_revision": "0" * 40,
            "machine": MACHINE,
        },
        "tables": [table(name, [r for r in runs if r["data"] == name]) for name in data],
        "runs": runs,
        "failures": [],
        "notes": [],
    }


def run(model: str, data: str, seed: int, path: str, size: float, rng: random.Random) -> Json:
    """A run's record; its scores are `size` times those in LABELS."""
    gan = not can(model, HasTerms)
    epochs = [i / 20 for i in range(1, 201)]
    terms = ("d_loss", "g_loss") if gan else ("loss", "reconstruction", "kl")
    metrics = {}
    for label, (better, floor, value) in LABELS.items():
        noisy = value * (size if better == "lower" else 1 / size) * rng.uniform(0.95, 1.05)
        metrics[f"{label}[{data}-cnn]"] = {
            "value": noisy,
            "uncertainty": noisy / 50,
            "uncertainty_kind": "standard error",
            "floor": floor,
            "better": better,
            "extras": {"z": 0.0, "flagged": 0.0} if label.startswith(("Near", "C_T")) else {},
            "notes": [],
        }
    if MODELS[model].conditional:
        extras = {f"class_{c}": rng.uniform(0.8, 1) for c in range(10)}
        metrics[f"Label-accuracy[{data}-cnn]"] = {
            **{"value": 0.9, "uncertainty": 0.01, "uncertainty_kind": "standard error"},
            **{"floor": 0.99, "better": "higher", "extras": extras, "notes": []},
        }
    receipt = {
        "generated": {"name": path, "n": 10000, "seed": 0, "repeats": 1, "digest": "1" * 64},
        "real": {"name": data, "split": "test", "n": 10000, "digest": "2" * 64},
        "detector": {"name": f"{data}-cnn", "protocol": "as trained", "weights_sha256": "3" * 64},
        "versions": VERSIONS,
        "machine": MACHINE,
    }
    return {
        "path": path,
        "label": model,
        "model": model,
        "title": MODELS[model].title,
        "data": data,
        "data_digest": "0" * 64,
        "seed": seed,
        "epochs": 10,
        "command": ["counterfeit", "train", model, "--data", data, "--seed", str(seed), "--out", path],
        "config": {**MODELS[model].settings.to_dict(), "data": data, "seed": seed},
        "parameters": 1234567,
        "train_seconds": 60.0 * size,
        "images_per_s": 10000.0 / size,
        "losses": {"epoch": epochs, **{t: [(i + 1) * 20 + 10 / e for e in epochs] for i, t in enumerate(terms)}},
        "loss_unit": MODELS[model].settings.unit,
        "test_losses": {} if gan else {"loss": 22.0},
        "curve": {
            "name": f"FID[{data}-cnn]",
            "n": 2000,
            "points": [[e, 100 * size * (1 + 1 / e) * rng.uniform(0.9, 1.1)] for e in range(1, 11)],
        },
        "score": {"metrics": metrics, "receipt": receipt},
    }


def table(data: str, runs: Sequence[Json]) -> Json:
    """The table of runs on a data set."""
    columns = list(dict.fromkeys(name for r in runs for name in r["score"]["metrics"]))
    metrics = {name: m for r in runs for name, m in r["score"]["metrics"].items()}
    rows = [row([r for r in runs if r["model"] == model]) for model in dict.fromkeys(r["model"] for r in runs)]
    receipt = runs[0]["score"]["receipt"]
    if len(rows[0]["seeds"]) > 1:
        for i, one in enumerate(rows):
            one["rank"] = 1 + i - (i == 1)
    return {
        "data": data,
        "protocol": {
            **{"real": receipt["real"], "detector": receipt["detector"]},
            **{"n": 10000, "repeats": 1, "version": "0.1.0"},
        },
        "shared_settings": {},
        "columns": columns,
        "better": {name: metrics[name]["better"] for name in columns},
        "floors": {name: metrics[name]["floor"] for name in columns},
        "ranked_by": f"FID[{data}-cnn]",
        "test": "Tukey's range test over the seeds",
        "rows": rows,
    }


def row(runs: Sequence[Json]) -> Json:
    curves = [r["curve"]["points"] for r in runs]
    best = [min(points, key=lambda p: p[1]) for points in curves]
    return {
        "label": runs[0]["label"],
        "model": runs[0]["model"],
        "settings": {},
        "seeds": [r["seed"] for r in runs],
        "rank": None,
        "parameters": runs[0]["parameters"],
        "epochs": runs[0]["epochs"],
        "metrics": {
            name: spread([r["score"]["metrics"][name]["value"] for r in runs]) for name in runs[0]["score"]["metrics"]
        },
        "train_seconds": spread([r["train_seconds"] for r in runs]),
        "images_per_s": spread([r["images_per_s"] for r in runs]),
        "curve": {
            "name": runs[0]["curve"]["name"],
            "n": 2000,
            "best": spread([value for _, value in best]),
            "best_epoch": spread([epoch for epoch, _ in best]),
            "final": spread([points[-1][1] for points in curves]),
        },
        "runs": [r["path"] for r in runs],
    }


def tables(records: Sequence[Json], ranked_by: str | None = None) -> tuple[list[Json], list[str]]:
    """The tables of runs, all in plain types."""
    found, notes = over_seeds.tables([of_json(record, RunRow) for record in records], ranked_by)
    return to_json(found), notes


def page_of(whole: Json, drawn: dict[str, dict[str, Path]] | None = None) -> str:
    """The page of a comparison in plain types."""
    return page(read(whole), drawn or {})


def read(whole: Json) -> Comparison:
    """A comparison in plain types as records."""
    return of_json(whole, Comparison)


def rows(table: Json) -> list[list[str]]:
    """The cells of a table in plain types."""
    return render.rows(of_json(table, Table))


def draw_pictures(whole: Json, folder: Path, size: tuple[int, int] = (200, 100)) -> dict[str, dict[str, Path]]:
    """Noise in place of every kind of picture, for the first run of each row: the hardest thing to compress."""
    rng = random.Random(0)
    found: dict[str, dict[str, Path]] = {}
    for t in whole["tables"]:
        for r in t["rows"]:
            kinds = ["samples", "interpolation", "nearest", "random", "real"]
            kinds += ["reconstructions"] if can(r["model"], Encodes) else []
            kinds += ["classes"] if MODELS[r["model"]].conditional else []
            path = r["runs"][0]
            for kind in kinds:
                file = folder / f"{len(found)}-{kind}.png"
                Image.frombytes("RGB", size, rng.randbytes(3 * size[0] * size[1])).save(file)
                found.setdefault(path, {})[kind] = file
    return found


VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Reads a page and remembers its elements; raises where tags do not close in the order in which they opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]
