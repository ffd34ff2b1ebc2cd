"""Runs of a given time: how fast this machine is, tried on a copy, and how many steps that leaves room for.

Nothing of what is tried remains: the run that follows is the one of that many --steps, to the bit.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from counterfeit.errors import InputError, NonFiniteError, ReportedElsewhere, RunError
from counterfeit.models import ModelSettings
from counterfeit.models.plan import UNPLANNED, Part, Plan, planned
from counterfeit.runs import RunFolder, RunRecord
from counterfeit.runs.data import record_of
from counterfeit.system import durations
from counterfeit.system.signals import Interrupted
from counterfeit.training import diagnosis, ends
from counterfeit.training.loop import Stepped, run_steps
from counterfeit.training.state import State
from counterfeit.training.trainer import Training

KEPT = 0.03  # of a budget, for what slows a machine down later
TRIED = 0.03  # of a budget, in which the steps of a stage are timed
LEAST, MOST = 1.0, 10.0  # seconds of that
WARM = 5  # steps before those that are timed: kernels are chosen, memory is allocated, a CUDA graph is recorded


@dataclass(frozen=True)
class Costs:
    """Seconds that a run takes on this machine.

    Attributes:
        steps: a step of each stage.
        end: sample grids and checkpoint at the end of an epoch.
        look: a look for what goes wrong.
        score: an evaluation of --score-every.
        finish: what follows the last step.
    """

    steps: tuple[float, ...]
    end: float = 0.0
    look: float = 0.0
    score: float = 0.0
    finish: float = 0.0

    def of(self, plan: Plan, config: ModelSettings) -> float:
        """The seconds of a whole run."""
        stepping = sum(part.steps * each for part, each in zip(plan.parts, self.steps, strict=True))
        ends = list(plan.ends())
        scores = sum(plan.due(epoch, config.score_every) for epoch in ends)
        looks = min(len(ends), plan.total // diagnosis.STEPS)
        return stepping + len(ends) * self.end + looks * self.look + scores * self.score + self.finish


@dataclass(frozen=True)
class Planned:
    """How many steps a budget has room for, and the seconds that they take, with those before the run began."""

    steps: int
    seconds: float
    per_step: float


def planned_steps(training: Training, begun: float, stop: Callable[[], bool] = lambda: False) -> Planned:
    """Try the training, and find the most steps with which it ends within its budget.

    Args:
        training: `unplanned`, and no event of it asked for yet. It stays as it is.
        begun: when its time began, by `time.perf_counter`.
        stop: asked at every step.

    Raises:
        InputError: there is no time for a single step of its last stage.
        Interrupted: it was asked to stop.
    """
    costs = measured(training, stop)
    return training.group.by_first(lambda: fitted(training, costs, time.perf_counter() - begun))


def fitted(training: Training, costs: Costs, spent: float) -> Planned:
    """The longest run that fits into the budget, of which so many seconds are spent. Raises InputError for none."""
    config, stages = training.config, training.plan.parts
    budget = durations.seconds(config.budget or "") or 0
    room = (1 - KEPT) * budget - spent

    def seconds(steps: int) -> float:
        plan = planned(training.model, replace(config, steps=steps), len(training.data))
        return costs.of(plan, config)

    least = sum((part.stage.epochs or 0) * part.per_epoch for part in stages) + len(stages)
    if seconds(least) > room:
        enough = durations.spelled(60 * (int((seconds(least) + spent) / (1 - KEPT)) // 60 + 1))
        before = f", of which the stages before the last take {least - len(stages):,}" if len(stages) > 1 else ""
        raise InputError(
            f"--budget {config.budget} is too short: here starting takes {durations.in_words(spent)}, a step "
            f"{costs.steps[-1]:.2g} s{before}, and the end of an epoch {durations.in_words(costs.end + costs.finish)}: "
            f"pass --budget {enough} or more"
        )
    most = UNPLANNED
    while most - least > 1:
        steps = (least + most) // 2
        least, most = (steps, most) if steps * min(costs.steps) <= room and seconds(steps) <= room else (least, steps)
    return Planned(least, spent + seconds(least), costs.steps[-1])


def measured(training: Training, stop: Callable[[], bool]) -> Costs:
    """Train a copy in a folder of its own for a few seconds, and time its parts.

    Raises RunError where there is no folder for it, NonFiniteError, and Interrupted.
    """
    try:
        with TemporaryDirectory(prefix="counterfeit-") as home:
            trial = _copied(training, Path(home) / "trial")
            costs = _measured(trial, stop)
            training.scorer = trial.scorer  # which has the features of the real images
            return costs
    except NonFiniteError as error:
        if not training.group.first:
            raise ReportedElsewhere(str(error)) from None
        raise NonFiniteError(f"{error}, while its speed was measured; a lower --lr may help") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"no checkpoint can be tried in the folder for temporary files ({reason}), as --budget does: set TMPDIR to "
            "a folder with room, or pass --steps"
        ) from None


def _copied(training: Training, folder: Path) -> Training:
    """The same training with a model and a folder of its own; it goes on for as long as it is asked."""
    trial = copy.copy(training)
    trial.model = copy.deepcopy(training.model)
    trial.config = replace(training.config, steps=UNPLANNED)
    trial.folder = RunFolder(folder)
    trial.folder.create()
    trial.folder.samples.mkdir()
    trial.folder.write_record(
        RunRecord(trial.recipe.name, trial.config, record_of(trial.data, trial.config, None), {}, [])
    )
    return trial


def _measured(trial: Training, stop: Callable[[], bool]) -> Costs:
    flushed = torch.set_flush_denormal(True)  # as in the run
    try:
        state = State.fresh(trial.model, trial.config, trial.device, trial.group)
        steps = tuple(_step(trial, state, part, stop) for part in trial.plan.parts)
        if trial.group.any(stop()):
            raise Interrupted("stopped while its speed was measured, and nothing is trained yet")
        return trial.group.by_first(lambda: Costs(steps, **_rest(trial, state)))
    finally:
        if flushed:
            torch.set_flush_denormal(False)


def _step(trial: Training, state: State, part: Part, stop: Callable[[], bool]) -> float:
    """Seconds of a step of a stage, with the reading of images and losses."""
    window = min(max(TRIED * (durations.seconds(trial.config.budget or "") or 0), LEAST), MOST)
    begun, steps = time.perf_counter(), 0
    since: tuple[int, float] | None = None  # steps and time at the first of those that count

    def over() -> bool:
        return stop() or (since is not None and steps > since[0] and time.perf_counter() - since[1] > window)

    state.step = part.first_step
    for event in run_steps(state, *trial.fed(), trial.config, over):
        if isinstance(event, Stepped):
            steps += 1
            if since is None and (steps >= WARM or time.perf_counter() - begun > window):
                since = steps, _now(trial.device)
    if since is None or steps == since[0]:  # stopped
        return 0.0
    return (_now(trial.device) - since[1]) / (steps - since[0])


def _rest(trial: Training, state: State) -> dict[str, float]:
    """Seconds of all but steps, as in `Costs`; by the first process."""

    def finish() -> None:
        trial.folder.cut_log(-1)  # it tests once only
        ends.of_run(trial, state)

    scored, every = 0.0, min(trial.config.score_every, 1)
    if every:
        trial.config = replace(trial.config, score_every=every)
        scored = _again(trial, lambda: ends.of_epoch(trial, state, 1, look=False))
    trial.config = replace(trial.config, score_every=0, keep="last")
    end = _again(trial, lambda: ends.of_epoch(trial, state, 1, look=False))
    look = _again(trial, lambda: ends.looked(trial, state, 1, None))
    return {"end": end, "look": look, "score": max(0.0, scored - end), "finish": _again(trial, finish)}


def _again(trial: Training, work: Callable[[], object]) -> float:
    """Seconds of work that a run does more than once; the first time costs more, and counts where it costs much."""
    seconds = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        work()
        seconds = time.perf_counter() - begun
        if seconds > TRIED * (durations.seconds(trial.config.budget or "") or 0):
            break
    return seconds


def _now(device: torch.device) -> float:
    """The time at which the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
