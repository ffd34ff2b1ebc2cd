"""Stages, epochs and batches of a run against a walk through all of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from counterfeit.errors import InputError
from counterfeit.models.base import Stage
from counterfeit.models.plan import Plan, steps_per_epoch


def step(*_: object) -> dict[str, object]:
    return {}


def stages(*forms: tuple[int, int | None]) -> list[Stage]:
    """By their fresh batches a step and their epochs."""
    return [Stage(step, f"stage {i}", batches, epochs) for i, (batches, epochs) in enumerate(forms)]


def walked(of: Sequence[Stage], images: int, batch_size: int, epochs: int) -> list[tuple[int, int, list[int], int]]:
    """Of every step: its stage, its epoch, the numbers of its batches in the epoch, and the steps of its stage."""
    found: list[tuple[int, int, list[int], int]] = []
    epoch = 0
    for number, stage in enumerate(of):
        last = number == len(of) - 1
        length = epochs - epoch if last else stage.epochs
        assert length is not None
        whole = list(range(images // batch_size))
        groups = [whole[i : i + stage.batches] for i in range(0, len(whole), stage.batches)]
        full = [group for group in groups if len(group) == stage.batches]
        for _ in range(length):
            found += [(number, epoch, group, length * len(full)) for group in full]
            epoch += 1
    return found


CASES = [
    (stages((1, None)), 10, 3, 4),
    (stages((3, None)), 20, 2, 3),
    (stages((1, 2), (1, None)), 9, 4, 5),
    (stages((2, 1), (3, 2), (1, None)), 31, 4, 6),
    (stages((5, 3), (1, None)), 10, 2, 4),
]


@pytest.mark.parametrize(("of", "images", "batch_size", "epochs"), CASES, ids=range(len(CASES)))
def test_a_plan_is_what_a_walk_finds(of: list[Stage], images: int, batch_size: int, epochs: int) -> None:
    plan, steps = Plan.of(of, images, batch_size, epochs), walked(of, images, batch_size, epochs)
    assert plan.total == len(steps)
    for done, (number, epoch, _, length) in enumerate(steps):
        assert plan.at(done).stage is of[number]
        assert plan.epoch(done) == epoch
        first = next(i for i, row in enumerate(steps) if row[0] == number)
        assert plan.progress(done) == (done - first) / length
        in_epoch = [i for i, row in enumerate(steps) if row[1] == epoch]
        assert plan.epochs_done(done) == pytest.approx(epoch + (done - in_epoch[0]) / len(in_epoch))
        # The last of `done` steps ended an epoch where the next one is of another.
        if done:
            assert plan.ends_epoch(done) == (steps[done - 1][1] != epoch)
        left = [(e, number) for _, e, numbers, _ in steps[done:] for number in numbers]
        assert list(plan.batches(done)) == left
    end = len(steps)
    assert (plan.epoch(end), plan.epochs_done(end), plan.ends_epoch(end)) == (epochs, epochs, True)
    assert plan.at(end) is plan.parts[-1] and plan.progress(end) == 1 and not list(plan.batches(end))


def test_a_batch_is_in_an_epoch_once_and_one_that_is_cut_short_is_dropped() -> None:
    batches = list(Plan.of(stages((3, None)), 21, 2, 2).batches(0))  # 10 full batches, so 3 steps of 3
    assert batches == [(epoch, number) for epoch in (0, 1) for number in range(9)]


@pytest.mark.parametrize(
    ("of", "images", "batch_size", "epochs", "says"),
    [
        (stages((1, None)), 4, 5, 1, "--batch-size 5 is larger than the data set of 4 images; pass --batch-size 4"),
        (stages((5, None)), 40, 9, 1, "a step takes 5 batches of 9 images, more than the 40 .* --batch-size 8 or"),
        (stages((1, 3), (1, None)), 9, 3, 3, "--epochs is 3, and the stages before stage 1 take 3: pass 4 or more"),
    ],
)
def test_a_run_that_is_too_short_is_refused(of, images: int, batch_size: int, epochs: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Plan.of(of, images, batch_size, epochs)


def test_steps_are_counted_by_full_batches() -> None:
    for images in range(6, 40):
        for batches in (1, 2, 3):
            assert steps_per_epoch(images, 2, batches) == len(range(0, images - 2 * batches + 1, 2 * batches))


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ([], "the model has no stages"),
        (stages((0, None)), "'stage 0' takes 0 batches per step"),
        (stages((1, 0), (1, None)), "'stage 0' has epochs=0: every stage but the last has 1 or more"),
        (stages((1, None), (1, None)), "'stage 0' has epochs=None"),
        (stages((1, 1)), "'stage 0' has epochs=1"),
        (stages((1, None)) * 2, "'stage 0' has epochs=None"),
    ],
)
def test_stages_that_are_none_are_said(of: list[Stage], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Plan.of(of, 100, 2, 4)
