"""The model card: what a run's record, log and receipts say of it, in the hub's form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from counterfeit.generator import Generator
from counterfeit.hub.files import GRID
from counterfeit.hub.place import Address
from counterfeit.models import MODELS
from counterfeit.scoring.score import Score
from counterfeit.system.words import command, number, plus_minus

TASK = "unconditional-image-generation"


def card(run: Generator, where: Address, scores: list[Score], license: str) -> str:
    """README.md: metadata between lines of three dashes, then Markdown.

    Args:
        scores: of the weights that are pushed.
        license: as the hub writes it, such as mit.
    """
    from huggingface_hub import ModelCardData

    name = where.repository.partition("/")[2]
    data = ModelCardData(
        license=license,
        library_name="counterfeit",
        pipeline_tag=TASK,
        tags=["counterfeit", run.model_name, "image-generation"],
        datasets=[_known(run)] if run.data.kind == "dataset" else None,
        model_name=name,
        eval_results=[*_results(run, scores)] or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_text(run, where, name, scores)}"


def _known(run: Generator) -> str:
    return re.sub(r"[^a-z0-9-]", "", run.data.name.lower())


def _results(run: Generator, scores: list[Score]) -> Iterator[Any]:
    """Entries of the model-index: the metric's name has its detector, and its arguments what else decides the value."""
    from huggingface_hub import EvalResult

    for score in scores:
        real, made = score.receipt.get("real") or {}, score.receipt.get("generated") or {}
        for label, scored in score.metrics.items():
            yield EvalResult(
                task_type=TASK,
                dataset_type=_known(run) or "images",
                dataset_name=Path(str(real.get("name", run.data.name))).name,
                dataset_split=str(real.get("split") or "all"),
                metric_type=re.sub(r"[^a-z0-9]+", "-", label.partition("[")[0].lower()),
                metric_name=label,
                metric_value=scored.value,
                metric_args={
                    "samples": made.get("n"),
                    "seed": made.get("seed"),
                    "real_images": real.get("n"),
                    "uncertainty": scored.uncertainty,
                    "real_against_real": scored.floor,
                },
            )


def _text(run: Generator, where: Address, name: str, scores: list[Score]) -> str:
    spec, data, facts = MODELS[run.model_name], run.data, run.trained.facts()
    size = "x".join(map(str, data.shape[1:]))
    trained = f"{facts['step']:,} steps, {facts['epochs_done']:,} of {facts['epochs']:,} epochs"
    lines = [
        f"# {name}",
        f"`{run.model_name}`: {spec.title} ({spec.paper}), trained with counterfeit on {_plain(data.name)} "
        f"({data.n:,} images of {size}).",
        f"![64 samples of seed 0]({GRID})",
        "## Use it",
        f'```python\nimport counterfeit as cf\n\nrun = cf.load("{where}")\nimages = run.sample(64, seed=0)\n```',
        f"Or `counterfeit sample {where} --out grid.png`. Nothing in this repository is code: weights are safetensors, "
        "the rest JSON and PNG, and every file is checked by its SHA-256.",
        "## Scores",
        _table(scores),
        "## How it was made",
        f"```\n{_plain(command(run.record.made_by.get('command', [])))}\n```",
        f"{trained}; weights SHA-256 `{run.weights_sha256}`; training code "
        f"`{_plain(str(run.record.made_by.get('training_code')))}`. Settings are in `run.json`, losses in `log.jsonl`, "
        "receipts of the scores in `scores`.",
        *(f"Note: {note}." for note in (*run.trained.unfinished(), *run.trained.selected())),
        "## Limits",
        f"It knows nothing but {_plain(data.name)}, differs from the paper ({spec.differs}), and may repeat images "
        "that it was trained on.",
    ]
    return "\n\n".join(lines) + "\n"


def _table(scores: list[Score]) -> str:
    if not scores:
        return "None were measured."
    rows = ["| metric | value | ± | real against real | samples | against |", "| --- | --- | --- | --- | --- | --- |"]
    for score in scores:
        real, made = score.receipt.get("real") or {}, score.receipt.get("generated") or {}
        against = _plain(
            f"{real.get('n', '')} images of {Path(str(real.get('name', ''))).name} {real.get('split') or ''}"
        )
        for label, scored in score.metrics.items():
            floor = "" if scored.floor is None else plus_minus({"mean": scored.floor, "std": scored.floor_std})
            spread = "" if scored.uncertainty is None else number(scored.uncertainty, 2)
            cells = [_plain(label), number(scored.value), spread, floor, str(made.get("n", "")), against]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n\nThe detector is a part of a metric's name: compare values of the same name only."


def _plain(text: str) -> str:
    """Text of others on one line, in which Markdown and HTML find nothing of theirs."""
    return re.sub(r"[<>|`\r\n]+", " ", text)
