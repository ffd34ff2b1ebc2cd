"""The model of a run with the weights of a checkpoint, and the identity of these weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import torch

from counterfeit.errors import InputError, RunError
from counterfeit.models import MODELS
from counterfeit.models.base import Model
from counterfeit.models.build import build
from counterfeit.models.plan import Plan, planned
from counterfeit.models.plugins import code_of, plugin_of
from counterfeit.runs.checkpoint import BEST, Best, Checkpoint, forms, read_checkpoint, read_index
from counterfeit.runs.folder import RunFolder, RunRecord
from counterfeit.settings import having
from counterfeit.system.console import say


@dataclass(frozen=True)
class Trained:
    """A run's model, read from a checkpoint; record, checkpoint and weights belong together.

    Attributes:
        folder: the run folder.
        record: run.json at that time.
        checkpoint: the checkpoint that was read.
        model: with the weights, on the CPU; the moving average if the run has one. With `--keep best` those of the best
            epoch, as soon as one was scored.
    """

    folder: RunFolder
    record: RunRecord
    checkpoint: Checkpoint
    model: Model

    @property
    def sha256(self) -> str:
        """SHA-256 of the file from which the model's weights were read."""
        return _sha256(self.checkpoint)

    def facts(self) -> dict[str, Any]:
        """How far the run was trained, and by which code: part of a receipt."""
        finished, epochs = self.finished, self.plan.epochs
        # The last epoch of a run of given steps may be cut short: it counts once the run is finished.
        done = {"finished": finished, "epochs_done": epochs if finished else self.checkpoint.epoch, "epochs": epochs}
        code = {"step": self.checkpoint.step, "training_code": self.record.made_by.get("training_code")}
        plugins = {"trained_by": code_of(self.record.plugin), "drawn_by": code_of(plugin_of(self.record.model))}
        about = {**done, **code, **({"plugin": plugins} if any(plugins.values()) else {})}
        best = self.checkpoint.best
        return about if best is None else {**about, "step": best.step, "selected": _selected(best)}

    @property
    def finished(self) -> bool:
        """Whether these are the weights at the end of training."""
        return self.checkpoint.step >= self.plan.total

    @property
    def plan(self) -> Plan:
        """Its stages, epochs and steps."""
        return planned(self.model, self.record.config, self.record.data.n)

    def unfinished(self) -> list[str]:
        """A sentence if the run is not finished; empty if it is."""
        if self.finished:
            return []
        config, (steps, epochs) = self.record.config, (self.checkpoint.step, self.checkpoint.epoch)
        of = f"{steps:,} of {config.steps:,} steps" if config.steps else f"{epochs} of {config.epochs} epochs"
        which = "its weights are those after" if self.checkpoint.best is None else "it has done"
        return [f"the run is not finished: {which} {of}"]

    def selected(self) -> list[str]:
        """A sentence if these are the weights of the best epoch, and by what it was chosen; empty if not."""
        best = self.checkpoint.best
        if best is None:
            return []
        done = max(best.epoch, self.checkpoint.epoch)  # one that is cut short is not among those that are over
        return [
            f"the weights are those of epoch {best.epoch:,} of {done:,}, the best by {best.score} of {best.n:,} "
            f"samples ({best.value:.4g}) against {best.split} images: a score against images of that split "
            "is optimistic, since they have chosen the epoch"
        ]

    def replaced(self) -> list[str]:
        """A sentence if the folder now has other weights; empty if it still has these."""
        try:
            now = read_index(self.folder.checkpoint)
        except RunError:
            now = None
        if now is not None and _sha256(now) == self.sha256:
            return []
        return [
            "the run's weights were replaced while it was measured: this is of those of step "
            f"{self.facts()['step']:,}, SHA-256 {self.sha256[:8]}…, which its folder does not hold any more"
        ]


def read_trained(folder: RunFolder, opened: RunRecord) -> Trained:
    """Read a run's model.

    Args:
        folder: the run folder.
        opened: run.json when the run was opened. The run may have been resumed since, but must not be another run.

    Raises:
        RunError: there is no checkpoint, or it is damaged, does not fit run.json, or now belongs to another run.
    """
    _reread(folder, opened)
    _compare_plugins(opened, folder)
    without_weights = _on_meta(opened, folder)
    expected = forms(without_weights.state_dict())
    sampled = [BEST, "ema", "model"]  # the first that there is
    checkpoint, groups = read_checkpoint(folder.checkpoint, sampled, dict.fromkeys(sampled, expected))
    record = _reread(folder, opened)  # after the weights, because a new run writes run.json before its first checkpoint
    check_progress(folder, record, checkpoint, without_weights)
    model = build(MODELS[record.model], record.config, record.data.shape, len(record.data.classes))
    model.load_state_dict(next(groups[group] for group in sampled if group in groups))
    return Trained(folder, record, checkpoint, model)


def _reread(folder: RunFolder, opened: RunRecord) -> RunRecord:
    """The present run.json. Raises RunError if it is now that of another run."""
    record = folder.read_record()
    if _identity(record) != _identity(opened):
        raise RunError(f"{folder} was replaced by another run since it was opened: open it again")
    return record


def _compare_plugins(record: RunRecord, folder: RunFolder) -> None:
    """Say so where the model is now of other code than the run was trained with."""
    was, now = record.plugin, plugin_of(record.model)
    if code_of(was) != code_of(now):
        say(f"{folder} was trained with {was or 'no plugin'}, and {record.model} is now of {now or 'no plugin'}")


def _on_meta(record: RunRecord, folder: RunFolder) -> Model:
    """A run's model without weights, so that no memory is used yet: its settings may require any amount."""
    try:
        with torch.device("meta"):
            return build(MODELS[record.model], record.config, record.data.shape, len(record.data.classes))
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:  # sizes that no tensor can have
        reason = " ".join(str(error).split())[:120]
        raise RunError(f"no model can be built from the settings in {folder.record_file} ({reason})") from None


def check_progress(folder: RunFolder, record: RunRecord, checkpoint: Checkpoint, model: Model) -> None:
    """Raise RunError if checkpoint.json and run.json cannot belong to the same run, which is one of `model`."""
    plan = planned(model, record.config, record.data.n)
    step, epoch = checkpoint.step, checkpoint.epoch
    averaged = ("ema" in checkpoint.files) == bool(record.config.ema)
    best = checkpoint.best
    if best is not None and (record.config.keep != BEST or best.epoch != plan.epoch(best.step - 1) + 1):
        raise RunError(f"{folder.checkpoint} does not fit run.json: it names a best epoch, {best.epoch:,}")
    if step > plan.total or epoch != plan.epoch(step) or not averaged:
        raise RunError(
            f"{folder.checkpoint} does not fit run.json: it is of step {step:,}, epoch {epoch:,}, "
            f"with {' and '.join(checkpoint.files)}; {record.config.epochs:,} epochs, {plan.total:,} steps, are "
            f"asked for, {'with' if record.config.ema else 'without'} ema"
        )


def _sha256(checkpoint: Checkpoint) -> str:
    """SHA-256 of the group of weights with which images are sampled."""
    if checkpoint.best is not None:
        return checkpoint.best.sha256
    return checkpoint.files["ema" if "ema" in checkpoint.files else "model"]["sha256"]


def _selected(best: Best) -> dict[str, Any]:
    """What decided that these are the weights, for a receipt."""
    of_file = ("step", "file", "sha256")
    return {name: value for name, value in msgspec.to_builtins(best).items() if name not in of_file}


def _identity(record: RunRecord) -> Any:
    """The part of run.json that stays the same when a run is resumed."""
    changing = {*having(record.config, "may_change"), "data"}  # the images may have moved
    settings = {name: value for name, value in record.config.to_dict().items() if name not in changing}
    return record.model, settings, record.data.digest, record.made_by
