"""A run in the making: the loop of `loop.py`, kept in a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from counterfeit import sampling
from counterfeit.data import ImageSet, binarize
from counterfeit.data.feed import as_fed, resident
from counterfeit.data.rows import Rows
from counterfeit.data.stored import is_whole
from counterfeit.errors import Abandoned, InputError, NonFiniteError, ReportedElsewhere, RunError
from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Encodes, HasTerms, Model
from counterfeit.models.build import build
from counterfeit.models.plan import planned
from counterfeit.runs import RunFolder, RunRecord, provenance, save_checkpoint
from counterfeit.runs.checkpoint import START_OVER, Best, forms, read_checkpoint, read_index, save_best
from counterfeit.runs.continuing import check_settings
from counterfeit.runs.data import record_of, to_train_on
from counterfeit.runs.log import EpochScore, OnTestSet, Steps, Trouble, curve
from counterfeit.runs.trained import check_progress
from counterfeit.scoring import Images, Scorer, judge
from counterfeit.settings import option
from counterfeit.system.console import decoration
from counterfeit.system.distributed import ALONE, Group
from counterfeit.training import diagnosis, few
from counterfeit.training.checks import built
from counterfeit.training.loop import (
    EpochEnded,
    Event,
    Logged,
    Stepped,
    Stopped,
    run_steps,
)
from counterfeit.training.sample_grids import draw_reconstructions, draw_samples, shown_of
from counterfeit.training.state import State

__all__ = ["EpochEnded", "Event", "Logged", "Resumed", "ScoredEpoch", "Stepped", "Stopped", "Tested", "Training"]

SAMPLES_SCORED = 2000  # while training: enough to see a curve, and drawn in a second or two


@dataclass(frozen=True)
class Resumed:
    """A run is continued after `step` steps."""

    step: int


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


class Training:
    """Checked when made, trained while its events are consumed."""

    def __init__(
        self,
        model: str,
        config: ModelSettings,
        folder: RunFolder,
        *,
        resume: bool = False,
        array: Any = None,
        labels: Any = None,
        group: Group = ALONE,
        given: Collection[str] | None = None,
    ) -> None:
        """Everything that can be wrong with the input is found here, before anything is written.

        Args:
            array: images for config.data == "array", see `counterfeit.data.load`.
            labels: of the array.
            group: the processes that train together: each reads data and checkpoint, the first writes the folder.
            given: names of the settings that the user gave; others may be chosen, see `few.chosen`. None: `config` is
                as it is to be.
        """
        self.recipe, self.config, self.folder, self.group = MODELS[model], config, folder, group
        if config.batch_size % group.world:
            raise InputError(
                f"--batch-size {config.batch_size} cannot be divided evenly among {group.world} processes: "
                f"pass a multiple of {group.world}"
            )
        self.resume = resume
        self.free = set() if given is None or resume else few.open_to(config, given)
        self.earlier = self._found()
        if self.earlier:
            self.config = config.as_in(self.earlier.config, self.free)
            check_settings(folder, self.earlier, model, self.config)
        self.data, test = to_train_on(self.config, self.earlier, str(folder), array, labels)
        own = few.chosen(config, given or (), len(self.data), self.data.shape[0]) if self.free else {}
        self.chosen = own if self.earlier is None else {}  # settings that are other than the model's
        if self.earlier is None:
            self.config = config.replace(own)
        elif self.config != config.replace(own).as_in(self.earlier.config):
            raise folder.is_another()
        self.model, self.device = built(self.recipe, self.config, self.data, group)
        self.take_steps(self.config.steps)
        self.scorer: Scorer | None = None
        self.best: Best | None = None
        tested = isinstance(self.model, HasTerms | Encodes) or config.score_every
        self.test: ImageSet | None = test() if tested else None

    def take_steps(self, steps: int | None) -> None:
        """Let the run be of so many steps, if not None, and its epochs be those that they take."""
        self.plan = planned(self.model, dataclasses.replace(self.config, steps=steps), len(self.data))
        if steps:
            self.config = dataclasses.replace(self.config, steps=steps, epochs=self.plan.epochs)

    @property
    def unplanned(self) -> bool:
        """Whether its steps are to be found by its budget, see `budget.planned_steps`, before there are events."""
        return self.config.budget is not None and self.config.steps is None

    def events(
        self, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Event | Resumed | ScoredEpoch | Tested | Trouble]:
        """Train to the end of the run, writing the run folder.

        Raises:
            NonFiniteError: says the term, epoch and step, and which checkpoint is the last good one.
            RunError: the folder cannot be written, or its checkpoint cannot be read.
        """
        assert not self.unplanned, "how many steps a budget has room for is found before"
        # Late in training Adam's moments decay into denormal numbers, for which CPUs take longer. Threads get the
        # setting when they start: those that PyTorch has had before keep theirs.
        torch.set_flush_denormal(True)
        try:
            state = State.fresh(self.model, self.config, self.device, self.group)
            with self._writing(), ExitStack() as held:
                self.group.by_first(partial(self._open, held))
                yield from self.group.everyone(partial(self._begin, state))
                yield from self._train(state, stop)
        finally:
            torch.set_flush_denormal(False)  # PyTorch's default: the process may go on to other things

    def _found(self) -> RunRecord | None:
        """The run in the folder that is to be continued; None for a new one. Raises RunError."""
        if self.resume:
            return self.folder.read_record()
        return self.folder.begun(self.recipe.name, self.config, self.free)

    def _open(self, held: ExitStack) -> None:
        """Make the folder of a new run, and lock it; since it was looked at, others may have trained into it."""
        if self.earlier is None:
            self.folder.create()
        held.enter_context(self.folder.lock())
        if self._found() != self.earlier:
            raise RunError(f"another process has trained in {self.folder} in the meantime: run the same command again")
        self.folder.clear(whole=self.earlier is None)

    def _begin(self, state: State) -> list[Resumed]:
        """Write or renew run.json, and take over the checkpoint."""
        if self.earlier is None:
            if self.group.first:
                here, data = provenance(self.device, self.recipe.name), record_of(self.data, self.config, None)
                self.folder.write_record(RunRecord(self.recipe.name, self.config, data, here, []))
                self.folder.samples.mkdir(exist_ok=True)
            return []
        index = read_index(self.folder.checkpoint)
        if index and index.step > self.plan.total:
            (name, length), epochs = self.config.length, f"{index.epoch} epochs, "
            raise RunError(
                f"{self.folder} has already trained for {epochs if name == 'epochs' else ''}{index.step:,} steps, more "
                f"than {option(name)} {length}"
            )
        if self.earlier.config.length != self.config.length and self._has_shares():
            raise RunError(
                f"{self.folder} is a run of {self.recipe.name}, whose stages are shares of its length, so it cannot be "
                f"made longer: leave {option(self.config.length[0])} out, or train again into another --out"
            )
        if index and index.step:  # else the run was stopped before its first step: the start is where it goes on
            self.take_over(state)
        if self.group.first:
            self.folder.cut_log(state.step, self.plan.ends_epoch)
            here = {"from_step": state.step, **provenance(self.device, self.recipe.name)}
            resumed_by = [*self.earlier.resumed_by, here]
            data = record_of(self.data, self.config, self.earlier)  # which may have moved
            self.folder.write_record(
                dataclasses.replace(self.earlier, config=self.config, data=data, resumed_by=resumed_by, finished=None)
            )
            self.folder.samples.mkdir(exist_ok=True)
        return [Resumed(state.step)]

    def take_over(self, state: State) -> None:
        """Bring the state to where the checkpoint of the run that goes on is. RunError where that is not this run's."""
        earlier = self.earlier
        assert earlier is not None
        expected = {group: forms(tensors) for group, tensors in state.tensors().items()}
        index, groups = read_checkpoint(self.folder.checkpoint, expected, expected)
        check_progress(self.folder, earlier, index, state.model)
        self.best = index.best
        if missing := expected.keys() - groups.keys():
            raise RunError(f"{self.folder.checkpoint} has no tensors of {missing.pop()}: {START_OVER}")
        if int(groups["training"]["step"]) != index.step:
            raise RunError(
                f"{self.folder.checkpoint} says that it is of step {index.step:,}, and its state is of step "
                f"{int(groups['training']['step']):,}: {START_OVER}"
            )
        try:
            state.load(groups, index.step)
        except RuntimeError as error:  # of a generator's state, which only PyTorch can read
            reason = " ".join(str(error).split())[:120]
            raise RunError(f"{self.folder.checkpoint} cannot be continued ({reason}): {START_OVER}") from None

    def _train(self, state: State, stop: Callable[[], bool]) -> Iterator[Event | ScoredEpoch | Tested | Trouble]:
        for event in run_steps(state, *self.fed(), self.config, stop):
            match event:
                case Logged() if self.group.first:
                    self.folder.append_log(Steps(event.epoch, event.step, event.losses, round(event.images_per_s, 1)))
                case EpochEnded():
                    scored = self.group.by_first(partial(self.end_epoch, state, event.epoch))
                    yield event
                    yield from scored
                    continue
                case Stopped():
                    self.group.by_first(partial(self._stop, state))
                    yield event
                    return
            yield event
        yield from self.group.by_first(partial(self.finish, state))

    def _has_shares(self) -> bool:
        """Whether stages of the run, as it was or as it is to go on, are shares of its length."""
        assert self.earlier is not None
        with torch.device("meta"):
            before = build(self.recipe, self.earlier.config, self.data.shape, len(self.data.classes))
        return any(stage.share for model in (before, self.model) for stage in model.stages())

    def fed(self) -> tuple[Tensor | np.ndarray, Tensor | None]:
        """Images and labels as `run_steps` takes them."""
        static = self.config.binarization == "static"
        pixels = as_fed(self._evaluated(self.data) if static else self.data.images, self.device)
        given = self.model.classes and self.data.labels is not None
        return pixels, resident(cast(np.ndarray, self.data.labels), self.device) if given else None

    def end_epoch(self, state: State, epoch: int) -> list[Trouble | ScoredEpoch]:
        """Sample grid, what goes wrong, score and checkpoint; by the first process."""
        troubles = self._diagnose(state, epoch, self._draw(state, epoch))
        scored = self._score(state, epoch)
        self._save(state)  # last, so that what a kill leaves undone is done again
        return [*troubles, *scored]

    def _stop(self, state: State) -> None:
        self._save(state)
        self._draw_curves()

    def finish(self, state: State) -> list[Tested]:
        """Test losses, curves, and that it is finished; by the first process."""
        tested = []
        done = any(isinstance(row, OnTestSet) and row.step == state.step for row in self.folder.log_rows()[-1:])
        if self.test is not None and isinstance(self.model, HasTerms) and not done:
            with _sampling(state) as model:
                assert isinstance(model, HasTerms)
                labels = self.test.labels if self.model.classes else None
                losses = sampling.mean_terms(model, self._evaluated(self.test), labels, self.config.seed)
            self.folder.append_log(OnTestSet(self.config.epochs, state.step, losses))
            tested.append(Tested(losses, self.config.unit))
        self._draw_curves()
        ended = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.folder.write_record(dataclasses.replace(self.folder.read_record(), finished=ended))
        return tested

    def _score(self, state: State, epoch: int) -> list[ScoredEpoch]:
        """FID of samples with the noise of the run's seed, the same every time, logged as a row of its own."""
        if not self.plan.due(epoch, self.config.score_every):
            return []
        if self.scorer is None:
            self.scorer = judge.small_scorer(self.test or self.data, self.config.device)
        with _sampling(state) as model:

            def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
                labels, options = sampling.labels_for(model, n, None), self.recipe.sampling
                return sampling.samples(model, n, seed, labels, n, options, group)

            images_drawn = Images(str(self.folder), None, draw)
            score = self.scorer.score(images_drawn, ["fid"], SAMPLES_SCORED, self.config.seed)
        ((name, scored),) = score.items()
        self.folder.append_log(EpochScore(epoch, state.step, name, scored.value))
        if self.config.keep == "best" and (self.best is None or scored.value < self.best.value):
            split = (self.test or self.data).split
            found = Best(epoch, state.step, name, scored.value, SAMPLES_SCORED, split)
            self.best = save_best(self.folder.checkpoint, (state.average or state.model).state_dict(), found)
        best, _ = min(curve(self.folder.log_rows(), name), key=lambda point: point[1])
        return [ScoredEpoch(epoch, name, scored.value, best)]

    def _diagnose(self, state: State, epoch: int, samples: np.ndarray | None) -> list[Trouble]:
        """What is seen to go wrong for the first time in this run, logged; `samples` are those of `_draw`."""
        if not diagnosis.is_due(self.plan.end_before(state.step), state.step):
            return []
        known = {row.kind for row in self.folder.log_rows() if isinstance(row, Trouble)}
        chosen = shown_of(len(self.data), min(diagnosis.LOOKED_AT, len(self.data)))
        images, labels = self._evaluated(self.data, chosen), None
        if self.model.classes and self.data.labels is not None:
            labels = self.data.labels[chosen]
        with _evaluated(state.model) as model:
            found = diagnosis.diagnosed(model, images, labels, samples, state.step, known, self.config.seed)
        rows = [Trouble(epoch, state.step, kind, numbers) for kind, numbers in found.items() if kind not in known]
        for row in rows:
            self.folder.append_log(row)
        return rows

    def _save(self, state: State) -> None:
        save_checkpoint(self.folder.checkpoint, state.tensors(), state.step, self.plan.epoch(state.step), self.best)

    def _draw(self, state: State, epoch: int) -> np.ndarray | None:
        """Samples, and of a model that encodes reconstructions: of the test set where there is one.

        Returns the samples, uint8 (N, C, H, W); None where they could not be drawn.
        """
        samples = None
        with _sampling(state) as model:
            path = self.folder.samples / f"epoch-{epoch:04d}.png"
            with decoration(str(self.folder.shown(path))):
                samples = draw_samples(path, model, self.config.seed, self.recipe.sampling)
            if isinstance(model, Encodes):
                path = self.folder.samples / f"reconstruction-{epoch:04d}.png"
                with decoration(str(self.folder.shown(path))):
                    data = self.test or self.data
                    chosen = shown_of(len(data))
                    labels = data.labels[chosen] if self.model.classes and data.labels is not None else None
                    draw_reconstructions(path, model, self._evaluated(data)[chosen], labels)
        return samples

    def _evaluated(self, data: ImageSet, chosen: np.ndarray | None = None) -> np.ndarray:
        """The images as losses are asked of them outside the steps: with --binarize, fixed draws, of those chosen."""
        images = data.images
        if is_whole(images):  # read through the file, which is looked at, and not through the map, which is not
            images = cast(np.ndarray, Rows(images, np.arange(len(images))))
        if chosen is not None:
            images = images[chosen]
        return images if self.config.binarization == "none" else binarize.fixed(images, data.split)

    def _draw_curves(self) -> None:
        with decoration(str(self.folder.shown(self.folder.curves))):
            from counterfeit.runs.curves import draw_curves  # here, since importing matplotlib may fail, too

            title = f"{self.recipe.name} on {self.data.name}"
            draw_curves(self.folder.curves, self.folder.log_rows(), title, self.config.unit)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Abandoned as error:
            raise Abandoned(f"{error}; {self._last_good()}; the same command with --resume goes on") from None
        except NonFiniteError as error:
            if not self.group.first:
                raise ReportedElsewhere(str(error)) from None
            raise NonFiniteError(f"{error}; {self._last_good()}; a lower --lr may help") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunError(
                f"cannot write to {self.folder} ({reason}); {self._last_good()}: "
                "free some space, then run the same command again"
            ) from None

    def _last_good(self) -> str:
        index = read_index(self.folder.checkpoint)
        return f"the last good checkpoint is that of step {index.step}" if index else "it has no checkpoint yet"


def _sampling(state: State) -> AbstractContextManager[Model]:
    """The model that samples are taken from, in inference mode: the moving average where there is one."""
    return _evaluated(state.average or state.model)


@contextmanager
def _evaluated(model: Model) -> Iterator[Model]:
    """The model in inference mode."""
    model.eval()
    try:
        yield model
    finally:
        model.train()
