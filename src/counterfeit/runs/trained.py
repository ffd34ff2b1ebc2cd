"""What a run has learned so far: its model with the weights of a checkpoint, and which weights these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from counterfeit.errors import RunError
from counterfeit.models import Family, build
from counterfeit.recipes import RECIPES
from counterfeit.runs.checkpoint import Checkpoint, read_checkpoint, read_index
from counterfeit.runs.continuing import FREE
from counterfeit.runs.folder import RunFolder, RunRecord


@dataclass(frozen=True)
class Trained:
    """A run's model, read from a checkpoint; record, checkpoint and weights belong together.

    Attributes:
        folder: where it was read from.
        record: run.json as it was then.
        checkpoint: which checkpoint was read.
        model: with its weights, on the CPU; the moving average where the run has one.
    """

    folder: RunFolder
    record: RunRecord
    checkpoint: Checkpoint
    model: Family

    @property
    def sha256(self) -> str:
        """SHA-256 of the file that the model's weights were read from."""
        return _sha256(self.checkpoint)

    def facts(self) -> dict[str, Any]:
        """How far the run was trained, and by which code: a part of a receipt."""
        epochs = self.record.config.epochs
        done = {"finished": self.finished, "epochs_done": self.checkpoint.epoch, "epochs": epochs}
        return {**done, "step": self.checkpoint.step, "training_code": self.record.made_by.get("training_code")}

    @property
    def finished(self) -> bool:
        """Whether these are the weights of the end of training."""
        return self.checkpoint.epoch >= self.record.config.epochs

    def unfinished(self) -> list[str]:
        """A sentence on a run that is not finished; of a finished one, none."""
        if self.finished:
            return []
        done, epochs = self.checkpoint.epoch, self.record.config.epochs
        return [f"the run is not finished: its weights are those after {done} of {epochs} epochs"]

    def replaced(self) -> list[str]:
        """A sentence where the folder holds other weights by now; none where it holds these."""
        try:
            now = read_index(self.folder.checkpoint)
        except RunError:
            now = None
        if now is not None and _sha256(now) == self.sha256:
            return []
        return [
            "the run's weights were replaced while it was measured: this is of those of step "
            f"{self.checkpoint.step:,}, SHA-256 {self.sha256[:8]}…, which its folder does not hold any more"
        ]


def read_trained(folder: RunFolder, opened: RunRecord) -> Trained:
    """Read a run's model.

    Args:
        opened: run.json when the run was opened. The run may have been continued since; another run it must not be.

    Raises:
        RunError: there is no checkpoint, it is damaged, does not fit run.json, or another run's by now.
    """
    checkpoint, groups = read_checkpoint(folder.checkpoint, ["model", "ema"])
    record = folder.read_record()  # after the weights: a new run writes its run.json before its first checkpoint
    if _identity(record) != _identity(opened):
        raise RunError(f"{folder} holds another run than when it was opened: open it again")
    model = build(RECIPES[record.model], record.config, record.data.shape, len(record.data.classes))
    try:
        model.load_state_dict(groups.get("ema", groups["model"]))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise RunError(f"the weights in {folder.checkpoint} do not fit run.json: {reason}") from None
    return Trained(folder, record, checkpoint, model)


def _sha256(checkpoint: Checkpoint) -> str:
    """Of the group of weights that images are drawn with."""
    return checkpoint.files["ema" if "ema" in checkpoint.files else "model"]["sha256"]


def _identity(record: RunRecord) -> Any:
    """What stays when a run is continued."""
    settings = {name: value for name, value in record.config.to_dict().items() if name not in {*FREE, "data"}}
    return record.model, settings, record.data.digest, record.made_by  # the images may have moved
