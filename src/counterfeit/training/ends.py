"""What a run's first process writes where an epoch ends, where the run is stopped, and at its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from counterfeit import sampling
from counterfeit.data import ImageSet
from counterfeit.models.base import Encodes, HasTerms, Model
from counterfeit.runs import save_checkpoint, troubles
from counterfeit.runs.checkpoint import Best, save_best
from counterfeit.runs.data import evaluated
from counterfeit.runs.log import EpochScore, OnTestSet, Trouble, curve
from counterfeit.scoring import Images, judge
from counterfeit.system.console import decoration
from counterfeit.system.distributed import Group
from counterfeit.training import diagnosis
from counterfeit.training.sample_grids import draw_reconstructions, draw_samples, shown_of
from counterfeit.training.state import State

if TYPE_CHECKING:
    from counterfeit.training.trainer import Training

SAMPLES_SCORED = 2000  # while training: enough to see a curve, and drawn in a second or two


@dataclass(frozen=True)
class ScoredEpoch:
    """The samples of an epoch were scored; `best` is the epoch with the lowest value so far."""

    epoch: int
    name: str
    value: float
    best: int


@dataclass(frozen=True)
class Tested:
    """Training is done: the mean loss over the test set and its terms, per image, in a unit or none ("")."""

    losses: dict[str, float]
    unit: str


def of_epoch(training: Training, state: State, epoch: int, *, look: bool | None = None) -> list[Trouble | ScoredEpoch]:
    """Sample grid, what goes wrong, score and checkpoint.

    Args:
        look: whether to look for what goes wrong; by default where that is due.
    """
    samples = _draw(training, state, epoch)
    due = diagnosis.is_due(training.plan.end_before(state.step), state.step) if look is None else look
    seen = looked(training, state, epoch, samples) if due else []
    scored = _score(training, state, epoch)
    _save(training, state)  # last, so that what a kill leaves undone is done again
    return [*seen, *scored]


def of_stop(training: Training, state: State) -> None:
    """Checkpoint and curves."""
    _save(training, state)
    _draw_curves(training)


def of_run(training: Training, state: State) -> list[Tested]:
    """Test losses, curves, and that it is finished."""
    tested = []
    done = any(isinstance(row, OnTestSet) and row.step == state.step for row in training.folder.log_rows()[-1:])
    if training.test is not None and isinstance(training.model, HasTerms) and not done:
        with _sampling(state) as model:
            assert isinstance(model, HasTerms)
            labels = training.test.labels if training.model.classes else None
            losses = sampling.mean_terms(model, evaluated(training.test, training.config), labels, training.config.seed)
        training.folder.append_log(OnTestSet(training.config.epochs, state.step, losses))
        tested.append(Tested(losses, training.config.unit))
    _draw_curves(training)
    ended = datetime.now(timezone.utc).isoformat(timespec="seconds")
    training.folder.write_record(dataclasses.replace(training.folder.read_record(), finished=ended))
    return tested


def _score(training: Training, state: State, epoch: int) -> list[ScoredEpoch]:
    """FID of samples with the noise of the run's seed, the same every time, logged as a row of its own."""
    if not training.plan.due(epoch, training.config.score_every):
        return []
    if training.scorer is None:
        training.scorer = judge.small_scorer(training.test or training.data, training.config.device)
    with _sampling(state) as model:

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            labels, options = sampling.labels_for(model, n, None), training.recipe.sampling
            return sampling.samples(model, n, seed, labels, n, options, group)

        images_drawn = Images(str(training.folder), None, draw)
        score = training.scorer.score(images_drawn, ["fid"], SAMPLES_SCORED, training.config.seed)
    ((name, scored),) = score.items()
    training.folder.append_log(EpochScore(epoch, state.step, name, scored.value))
    if training.config.keep == "best" and (training.best is None or scored.value < training.best.value):
        split = (training.test or training.data).split
        found = Best(epoch, state.step, name, scored.value, SAMPLES_SCORED, split)
        training.best = save_best(training.folder.checkpoint, (state.average or state.model).state_dict(), found)
    best, _ = min(curve(training.folder.log_rows(), name), key=lambda point: point[1])
    return [ScoredEpoch(epoch, name, scored.value, best)]


def looked(training: Training, state: State, epoch: int, samples: np.ndarray | None) -> list[Trouble]:
    """What is seen to go wrong for the first time in this run, logged; `samples` are those of the epoch's grid."""
    known = {row.kind for row in training.folder.log_rows() if isinstance(row, Trouble)}
    train, test = examples(training, training.data), None
    if training.test is not None and isinstance(training.model, HasTerms) and troubles.OVERFITTING not in known:
        test = examples(training, training.test)
    with _in_inference(state.model) as model:
        found = diagnosis.diagnosed(model, train, test, samples, state.step, known, training.config.seed)
    rows = [Trouble(epoch, state.step, kind, numbers) for kind, numbers in found.items() if kind not in known]
    for row in rows:
        training.folder.append_log(row)
    return rows


def examples(training: Training, data: ImageSet) -> diagnosis.Examples:
    """Images of a set for the diagnosis, and their labels if the model takes them; the same ones every time."""
    if data.split not in training.examples:
        chosen = shown_of(len(data), min(diagnosis.LOOKED_AT, len(data)))
        labels = data.labels[chosen] if training.model.classes and data.labels is not None else None
        training.examples[data.split] = evaluated(data, training.config)[chosen], labels
    return training.examples[data.split]


def _save(training: Training, state: State) -> None:
    save_checkpoint(
        training.folder.checkpoint, state.tensors(), state.step, training.plan.epoch(state.step), training.best
    )


def _draw(training: Training, state: State, epoch: int) -> np.ndarray | None:
    """Samples, and of a model that encodes reconstructions: of the test set where there is one.

    Returns the samples, uint8 (N, C, H, W); None where they could not be drawn.
    """
    samples = None
    with _sampling(state) as model:
        path = training.folder.samples / f"epoch-{epoch:04d}.png"
        with decoration(str(training.folder.shown(path))):
            samples = draw_samples(path, model, training.config.seed, training.recipe.sampling)
        if isinstance(model, Encodes):
            path = training.folder.samples / f"reconstruction-{epoch:04d}.png"
            with decoration(str(training.folder.shown(path))):
                data = training.test or training.data
                chosen = shown_of(len(data))
                labels = data.labels[chosen] if training.model.classes and data.labels is not None else None
                draw_reconstructions(path, model, evaluated(data, training.config)[chosen], labels)
    return samples


def _draw_curves(training: Training) -> None:
    with decoration(str(training.folder.shown(training.folder.curves))):
        from counterfeit.runs.curves import draw_curves  # here, since importing matplotlib may fail, too

        title = f"{training.recipe.name} on {training.data.name}"
        draw_curves(training.folder.curves, training.folder.log_rows(), title, training.config.unit)


def _sampling(state: State) -> AbstractContextManager[Model]:
    """The model that samples are taken from, in inference mode: the moving average where there is one."""
    return _in_inference(state.average or state.model)


@contextmanager
def _in_inference(model: Model) -> Iterator[Model]:
    """The model in inference mode."""
    model.eval()
    try:
        yield model
    finally:
        model.train()
