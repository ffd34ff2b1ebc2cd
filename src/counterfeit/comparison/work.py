"""Do the work of one member of a grid: train it if missing, resume it if interrupted, score it if trained.

The state is in the run folders only, so that a grid that was killed resumes where it was: members that are trained or
scored are used as they are, and a kill costs at most the epoch, or the score, in progress.

Inputs and outputs are plain types that can be sent as JSON, so that another process or machine can do the work.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from counterfeit.comparison.collect import record
from counterfeit.comparison.grid import Member
from counterfeit.comparison.scored import kept_score
from counterfeit.errors import InputError, RunError
from counterfeit.hub import is_address, local
from counterfeit.models import MODELS
from counterfeit.models.plugins import files
from counterfeit.report.records import Metric, RunRow, metric
from counterfeit.run import Run
from counterfeit.runs.data import same_place
from counterfeit.runs.shared import Copy, Local, finished, opened
from counterfeit.scoring import Scorer, judge
from counterfeit.settings import ScoreConfig, having
from counterfeit.system import durations
from counterfeit.system.console import say
from counterfeit.system.text import harmless
from counterfeit.training.session import fitting
from counterfeit.training.trainer import EpochEnded, Stopped

Json = dict[str, Any]


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """A member that could not be finished, and the reason on one line."""

    run: str
    error: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A member that was trained and scored."""

    record: RunRow


Result = Done | Failure


@dataclass(frozen=True)
class Order:
    """What is the same for all members.

    Attributes:
        score: how they are scored.
        trains: whether missing runs are trained; otherwise only finished runs are used.
        command: the command to record in a run's provenance, whichever process does the work.
        scores: by the path of a run, a score to use instead of scoring it again: see `scored.shared_scores`.
        plugins: files that another process must load too: see `models.plugins.files`.
    """

    score: ScoreConfig
    trains: bool
    command: list[str] = field(default_factory=list)
    scores: dict[str, Json] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=files)


@dataclass(frozen=True)
class Task:
    """The work of one member; `number` and `left` are parts of the line printed when it starts."""

    member: Member
    number: str = ""
    left: str = ""


# Takes the members; yields the index in the grid and the result of each, in the order in which they end.
Engine = Callable[[Sequence[Member], Order], Iterator[tuple[int, Result]]]


class Worker:
    """Do the work of members one after another; real images and detectors are loaded once."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._scorers: dict[tuple[Any, ...], Scorer] = {}

    def work(self, task: Task) -> Result:
        """Train and score a member; an error is returned as its result rather than raised."""
        path = task.member.path
        try:
            with opened(str(local(path))) as place:
                return Done(self._brought(task, place))
        except InputError as error:
            return Failure(path, in_one_line(error))
        except Exception as error:  # an error in one member, even a bug of ours, must not cost the others
            for line in traceback.format_exc().splitlines():
                say(line)
            return Failure(path, f"{type(error).__name__}: {in_one_line(error)}")

    def _brought(self, task: Task, place: Local | Copy) -> RunRow:
        member = task.member
        say(f"{task.number}{member}: {_state(place)}{task.left}")
        self._train(member, place)
        run = Run(place.folder.path, self.order.score.device, member.path)
        run.folder.log_rows()  # one that cannot be read is said before minutes of scoring, not after
        score = self.order.scores.get(member.path) or self._scored(run)
        try:
            place.publish()
        except RunError as error:  # the run itself exists, and the score is good
            say(f"{member.path}: this score is not saved: {in_one_line(error)}")
        return record(run, score)

    def _train(self, member: Member, place: Local | Copy) -> None:
        """Make sure that the member's run exists, has the right settings, and is finished."""
        folder = place.folder
        holds = folder.holds_run()
        if holds and folder.finished():
            check_settings(member, place)
        elif self.order.trains:
            with closing(fitting(member.model, member.config, folder, resume=folder.holds_checkpoint())) as events:
                for event in events:
                    if isinstance(event, EpochEnded | Stopped):  # a new checkpoint exists
                        place.publish()
            place.publish()
        else:
            raise RunError(f"{folder} is not finished: counterfeit train {member.model} --out {folder} --resume")

    def _scored(self, run: Run) -> Json:
        """The requested score, from the run's folder if it is already there."""
        config, scorer = self.order.score, self._scorer(run)
        return kept_score(run, config, scorer) or run.score(scorer=scorer, **config.keywords()).to_dict()

    def _scorer(self, run: Run) -> Scorer:
        of = (run.data, run.config.size, run.config.skip_bad, run.config.holdout)
        if of not in self._scorers:
            self._scorers[of] = judge.prepared(self.order.score, run.record, run.name)
        return self._scorers[of]


def _state(place: Local | Copy) -> str:
    if not place.folder.holds_run():
        return "to be trained"
    return "trained already" if place.folder.finished() else "to be continued"


def check_settings(member: Member, place: Local | Copy) -> None:
    """Raise RunError if the folder's run is not the one that the grid describes."""
    found = place.folder.read_record()
    free = {field.name for field in fields(member.config)} - having(member.config, "computes")
    if same_place(found, member.config.data):
        free.add("data")  # however it is spelled
    was = {"model": found.model, **found.config.to_dict()}
    now = {"model": member.model, **member.config.as_in(found.config).to_dict()}
    for name in now:
        if name not in free and was[name] != now[name]:
            raise RunError(
                f"{place.folder} holds a run with {name} {was[name]}, and the grid asks for {now[name]}: "
                "remove that run, or give the grid another out"
            )


def in_one_line(error: object) -> str:
    return " ".join(str(error).split())


class Pace:
    """Estimate how long members take from finished ones, with the same model and data if possible.

    That is per epoch, per step, or per second of the budget: a grid that mixes them is estimated badly.
    """

    def __init__(self, members: Sequence[Member], at_once: int = 1) -> None:
        self._left = [one for one in members if not (is_address(one.path) or finished(one.path))]
        self._at_once = at_once
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def add(self, member: Member, result: Result) -> None:
        """Record that a member has ended."""
        self._left = [other for other in self._left if other != member]
        if isinstance(result, Done):
            known = self._seconds.setdefault((member.model, member.config.data), [])
            known.append(result.record.train_seconds / _length(member))

    def left(self) -> str:
        """`, about 12 min left`, or "" if no member has been timed."""
        if not self._seconds or not self._left:
            return ""
        everything = [s for known in self._seconds.values() for s in known]
        usual = sum(everything) / len(everything)
        rates = [self._seconds.get((m.model, m.config.data), [usual]) for m in self._left]
        seconds = sum(_length(m) * sum(rate) / len(rate) for m, rate in zip(self._left, rates, strict=True))
        return f", about {max(1, round(seconds / self._at_once / 60))} min left"


def _length(member: Member) -> int:
    """Of a member's run, in what it was asked for by: see `Pace`."""
    name, length = member.config.length
    return durations.seconds(str(length)) or 1 if name == "budget" else int(length)


def message(value: Order | Task | Result) -> bytes:
    """A line of JSON for another process. Raises InputError for values without a plain form, such as code or arrays."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{harmless(error.object[:200])} is not UTF-8 and cannot be passed to other processes: rename it, or leave "
            "out --workers or --engine"
        ) from None


def task_of(line: bytes) -> Task:
    """Parse a task that another process has sent as a `message`; the settings have the model's own type."""
    values = msgspec.json.decode(line)
    member = values.pop("member")
    config = MODELS[member["model"]].read(member.pop("config"))
    return Task(Member(member["model"], config, member["path"]), **values)


def result_of(line: bytes) -> Result:
    """Parse a result that another process has sent as a `message`."""
    return msgspec.json.decode(line, type=Result, dec_hook=metric)


def _plain(value: object) -> str:
    if isinstance(value, Metric):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise InputError(
        f"other processes need the real images and the detector by name, and {type(value).__name__} has none: "
        "pass a file, or leave out --workers or --engine"
    )
