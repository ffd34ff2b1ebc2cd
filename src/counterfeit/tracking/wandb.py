"""Weights & Biases: a run of its own in the run folder, offline unless WANDB_MODE says otherwise."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import wandb

from counterfeit.runs.log import LogRow, Trouble
from counterfeit.scoring import Score
from counterfeit.tracking.tracker import PROJECT, About, Tracker, values


class WeightsAndBiases(Tracker):
    """History by the names and steps of log.jsonl, sample grids, settings as the config, scores in the summary."""

    def begin(self, about: About, earlier: str | None) -> str:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(
            console="off", silent=True, save_code=False, disable_git=True, disable_job_creation=True
        )
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=about.name,
            id=earlier or secrets.token_hex(4),
            dir=os.environ.get("WANDB_DIR", about.folder),
            mode=mode,
            resume="allow" if mode == "online" else None,  # offline, runs of one id become one when they are synced
            reinit="create_new",  # whatever run of his own the user has open stays open
            settings=settings,
        )
        self.run.config.update({**about.facts, **about.settings}, allow_val_change=True)
        return str(self.run.id)

    def row(self, row: LogRow) -> None:
        said = {"trouble": str(row)} if isinstance(row, Trouble) else {}
        self.run.log({**values(row), **said}, step=row.step)

    def picture(self, name: str, step: int, path: Path) -> None:
        self.run.log({name: wandb.Image(str(path))}, step=step)

    def score(self, name: str, step: int, score: Score, path: Path) -> None:
        self.run.summary.update({f"{name}/{metric}": scored.value for metric, scored in score.items()})
        copy = Path(self.run.dir) / "scores" / path.name  # a file elsewhere would become a link, with a warning
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
        self.run.save(str(copy), base_path=str(self.run.dir), policy="now")

    def end(self, how: str) -> None:
        self.run.finish(exit_code=0 if how == "finished" else 1)

    def abandon(self) -> None:
        try:
            self.end("failed")
        finally:
            wandb.teardown(1)  # or it would print a traceback at the end of the process, where its own one was killed

    def where(self) -> str:
        if not self.run.offline:
            return str(self.run.url)
        return f"wandb sync {Path(self.run.dir).parent}"
