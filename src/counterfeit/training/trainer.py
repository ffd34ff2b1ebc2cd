"""A run in the making: the loop of `loop.py`, kept in a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from counterfeit.data import ImageSet
from counterfeit.data.feed import as_fed, resident
from counterfeit.errors import Abandoned, InputError, NonFiniteError, ReportedElsewhere, RunError
from counterfeit.models import MODELS, ModelSettings
from counterfeit.models.base import Encodes, HasTerms
from counterfeit.models.build import build
from counterfeit.models.plan import planned
from counterfeit.runs import RunFolder, RunRecord, provenance
from counterfeit.runs.checkpoint import START_OVER, Best, forms, read_checkpoint, read_index
from counterfeit.runs.continuing import check_settings
from counterfeit.runs.data import evaluated, record_of, to_train_on
from counterfeit.runs.log import Steps, Trouble
from counterfeit.runs.trained import check_progress
from counterfeit.scoring import Scorer
from counterfeit.settings import option
from counterfeit.system.distributed import ALONE, Group
from counterfeit.training import diagnosis, ends, few
from counterfeit.training.checks import built, check_terms
from counterfeit.training.ends import ScoredEpoch, Tested
from counterfeit.training.loop import (
    EpochEnded,
    Event,
    Logged,
    Stepped,
    Stopped,
    run_steps,
)
from counterfeit.training.state import State

__all__ = ["EpochEnded", "Event", "Logged", "Resumed", "ScoredEpoch", "Stepped", "Stopped", "Tested", "Training"]


@dataclass(frozen=True)
class Resumed:
    """A run is continued after `step` steps."""

    step: int


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
        self.examples: dict[str, diagnosis.Examples] = {}  # by split: see `ends.examples`
        tested = isinstance(self.model, HasTerms | Encodes) or config.score_every
        self.test: ImageSet | None = test() if tested else None
        check_terms(self.model, model, self.data, self.test)

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
                    scored = self.group.by_first(partial(ends.of_epoch, self, state, event.epoch))
                    yield event
                    yield from scored
                    continue
                case Stopped():
                    self.group.by_first(partial(ends.of_stop, self, state))
                    yield event
                    return
            yield event
        yield from self.group.by_first(partial(ends.of_run, self, state))

    def _has_shares(self) -> bool:
        """Whether stages of the run, as it was or as it is to go on, are shares of its length."""
        assert self.earlier is not None
        with torch.device("meta"):
            before = build(self.recipe, self.earlier.config, self.data.shape, len(self.data.classes))
        return any(stage.share for model in (before, self.model) for stage in model.stages())

    def fed(self) -> tuple[Tensor | np.ndarray, Tensor | None]:
        """Images and labels as `run_steps` takes them."""
        static = self.config.binarization == "static"
        pixels = as_fed(evaluated(self.data, self.config) if static else self.data.images, self.device)
        given = self.model.classes and self.data.labels is not None
        return pixels, resident(cast(np.ndarray, self.data.labels), self.device) if given else None

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
