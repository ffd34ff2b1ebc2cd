"""Brings the members of a grid to the end: trains what is missing, continues what was cut off, scores what is trained.

Everything is found in the run folders, so that a grid that was killed goes on where it was: what is trained or scored
is taken as it is, and a kill costs at most the epoch, or the score, that was in work.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from counterfeit.comparison.collect import record, trained
from counterfeit.comparison.grid import Grid, Member
from counterfeit.config import ScoreConfig
from counterfeit.console import say
from counterfeit.errors import InputError, RunError
from counterfeit.metrics import METRICS
from counterfeit.run import Run
from counterfeit.scoring import Scorer, judge

Json = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A member that could not be brought to the end, and why, in one line."""

    run: str
    error: str


@dataclass(frozen=True)
class Done:
    """A member, trained and scored: see `collect.record`."""

    record: Json


def bring(grid: Grid, train: Callable[[Member, bool], object] | None) -> Iterator[Done | Failure]:
    """Train and score the members in turn; a member that fails is told, and the others go on.

    Args:
        train: trains (member, whether to continue it) to its end; None where only finished runs are taken.
    """
    scorers: dict[tuple[Any, ...], Scorer] = {}
    pace = _Pace(grid.members)
    for i, member in enumerate(grid.members):
        try:
            say(f"[{i + 1}/{len(grid.members)}] {member}: {_state(member)}{pace.left(i)}")
            began = time.perf_counter()
            _trained(member, train)
            run = Run(member.folder.path, grid.score.device)
            config = run.config
            of = (config.data, config.size, config.skip_bad)
            if of not in scorers:
                scorers[of] = judge.prepared(grid.score, config)
            score = kept_score(run, grid.score, scorers[of]) or _scored(run, grid.score, scorers[of])
            pace.add(member, time.perf_counter() - began)
            yield Done(record(run, score))
        except InputError as error:
            yield Failure(str(member.folder), " ".join(str(error).split()))
        except Exception as error:  # a fault in one member, ours too, must not cost the others
            say(traceback.format_exc())
            yield Failure(str(member.folder), f"{type(error).__name__}: {' '.join(str(error).split())}")


def _state(member: Member) -> str:
    if not member.folder.holds_run():
        return "to be trained"
    return "trained already" if member.folder.finished() else "to be continued"


def _trained(member: Member, train: Callable[[Member, bool], object] | None) -> None:
    """Make sure that the member's run is there, is its own, and is finished."""
    holds = member.folder.holds_run()
    if holds and member.folder.finished():
        check_settings(member)
    elif train is not None:
        train(member, holds)
    else:
        raise RunError(
            f"{member.folder} is not finished: counterfeit train {member.model} --out {member.folder} --resume"
        )


def check_settings(member: Member) -> None:
    """RunError where the folder's run is not the one that the grid describes."""
    found = member.folder.read_record()
    free = ("device", "log_every", "skip_bad")
    was = {"model": found.model, **found.config.to_dict()}
    now = {"model": member.model, **member.config.to_dict()}
    for name in now:
        if name not in free and was[name] != now[name]:
            raise RunError(
                f"{member.folder} holds a run with {name} {was[name]}, and the grid asks for {now[name]}: "
                "remove that run, or give the grid another out"
            )


def kept_score(run: Run, config: ScoreConfig, scorer: Scorer) -> Json | None:
    """A score of the run's present weights by the same protocol that is in its scores folder, or None."""
    names = judge.metric_names(config, scorer, run.labels(1) is not None)
    labels = [f"{label}[{scorer.detector.name}]" for name in names for label in METRICS[name].labels]
    if scorer.detector.weights_sha256 is None:  # a function of the user's: nobody knows whether it is still the same
        return None
    drawn = {"n": config.n, "seed": config.seed, "repeats": config.repeats, "digest": run.weights_sha256}
    wanted = {**scorer.against(config.n, config.seed), **drawn}
    for path in sorted((run.path / "scores").glob("*.json")):
        try:
            score = json.loads(path.read_bytes())
            receipt = score["receipt"]
            found = {**receipt, **receipt["generated"]}
            if all(found[key] == value for key, value in wanted.items()) and set(labels) <= set(score["metrics"]):
                return {**score, "metrics": {label: score["metrics"][label] for label in labels}}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a score of another kind, such as a likelihood
    return None


def _scored(run: Run, config: ScoreConfig, scorer: Scorer) -> Json:
    return run.score(scorer=scorer, **vars(config)).to_dict()


def _finished(member: Member) -> bool:
    """For estimates only: a damaged run is told when its turn comes."""
    try:
        return member.folder.holds_run() and member.folder.finished()
    except InputError:
        return False


class _Pace:
    """How long members take, from those that are done: by epochs, of the same model and data where there is one."""

    def __init__(self, members: tuple[Member, ...]) -> None:
        self.members = members
        self.seconds: dict[tuple[str, str], list[float]] = {}
        for member in members:
            if _finished(member):
                seconds, _ = trained(Run(member.folder.path, "cpu"))
                self._note(member, seconds)

    def _note(self, member: Member, seconds: float) -> None:
        known = self.seconds.setdefault((member.model, member.config.data), [])
        known.append(seconds / member.config.epochs)

    def add(self, member: Member, seconds: float) -> None:
        """A member took so long; one that was finished before says nothing."""
        if seconds > 1 and (member.model, member.config.data) not in self.seconds:
            self._note(member, seconds)

    def left(self, start: int) -> str:
        """`, about 12 min left`, or nothing where no member has been timed."""
        if not self.seconds:
            return ""
        everything = [s for known in self.seconds.values() for s in known]
        usual = sum(everything) / len(everything)
        todo = [m for m in self.members[start:] if not _finished(m)]
        rates = [self.seconds.get((m.model, m.config.data), [usual]) for m in todo]
        seconds = sum(m.config.epochs * sum(rate) / len(rate) for m, rate in zip(todo, rates, strict=True))
        return f", about {max(1, round(seconds / 60))} min left" if todo else ""
