"""A finished run as plain JSON types: all that tables and reports need to know of it."""

from __future__ import annotations

from typing import Any

from counterfeit.models import MODELS
from counterfeit.run import Run
from counterfeit.training.trainer import SAMPLES_SCORED

NOT_LOSSES = ("epoch", "step", "images_per_s")
MOST_POINTS = 200  # of a loss curve: more than a picture can show


def record(run: Run, score: dict[str, Any]) -> dict[str, Any]:
    """What is known of a run; `score` as `Score.to_dict` gives it."""
    log = run.log
    seconds, images = trained(run)
    return {
        "path": run.name,
        "model": run.model_name,
        "title": MODELS[run.model_name].title,
        "data": run.data.name,
        "data_path": run.data.path,
        "data_digest": run.data.digest,
        "seed": run.config.seed,
        "epochs": run.config.epochs,
        "command": run.record.made_by.get("command", []),
        "training_code": run.record.made_by.get("training_code"),
        "config": run.config.to_dict(),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "train_seconds": seconds,
        "images_per_s": images / seconds if seconds else None,
        "losses": losses(log, run),
        "test_losses": {
            name.removeprefix("test_"): value for row in log for name, value in row.items() if name.startswith("test_")
        },
        "curve": curve(log),
        "score": score,
    }


def trained(run: Run) -> tuple[float, int]:
    """Seconds spent in training steps, pictures and scores left out, and images seen; a kill loses none."""
    seconds, images, step = 0.0, 0, 0
    for row in run.log:
        if row.get("images_per_s"):  # a rate that was rounded to 0 does not say how long it took
            seen = (row["step"] - step) * run.config.batch_size
            seconds, images, step = seconds + seen / row["images_per_s"], images + seen, row["step"]
    return seconds, images


def losses(log: list[dict[str, Any]], run: Run) -> dict[str, list[float]]:
    """Columns of the training losses over `epoch`, a fraction: {"epoch": […], "d_loss": […], …}."""
    rows = [row for row in log if "images_per_s" in row]
    rows = rows[:: -(-len(rows) // MOST_POINTS) or 1][:-1] + rows[-1:]  # the last one always
    per_epoch = run.data.n // run.config.batch_size
    columns: dict[str, list[float]] = {"epoch": [round(row["step"] / per_epoch, 4) for row in rows]}
    for name in rows[0] if rows else ():
        if name not in NOT_LOSSES:
            columns[name] = [row[name] for row in rows]
    return columns


def curve(log: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The scores of --score-every, with the best; None where there are none."""
    names = {name for row in log for name in row if name.startswith("FID[")}
    if not names:
        return None
    name = sorted(names)[0]
    return {"name": name, "n": SAMPLES_SCORED, "points": [[row["epoch"], row[name]] for row in log if name in row]}
