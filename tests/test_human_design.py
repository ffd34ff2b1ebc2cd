"""What raters see: balance, blindness, catch trials, and the same order for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfeit.errors import InputError
from counterfeit.human.design import LAG, Design, Trial, chosen_real, order
from counterfeit.human.intervals import needed

DESIGNS = st.builds(
    Design,
    models=st.integers(1, 5),
    fakes=st.integers(5, 60),
    raters=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
)


def pools(design: Design) -> list[int]:
    of_model, of_real = design.pools(10_000)
    return [*[of_model] * design.models, of_real, 64]


@settings(max_examples=60, deadline=None)
@given(design=DESIGNS, rater=st.integers(1, 50))
def test_every_order_is_balanced(design: Design, rater: int) -> None:
    trials = order(design, rater, pools(design))
    roles = Counter(trial.role for trial in trials)
    assert roles == {"judged": design.judged, "noise": design.noise, "repeat": design.repeats} or not design.repeats
    of = Counter(trial.source for trial in trials if trial.role == "judged")
    assert of == {**dict.fromkeys(range(design.models), design.fakes), design.real: design.models * design.fakes}
    for position, trial in enumerate(trials):
        if trial.role == "repeat":
            assert trial.repeats is not None and trial.repeats <= position - LAG
            first = trials[trial.repeats]
            assert (first.role, first.source, first.place) == ("judged", trial.source, trial.place)
    again = [trial.repeats for trial in trials if trial.role == "repeat"]
    assert len(set(again)) == len(again)
    assert all((trial.source == design.of_noise) == (trial.role == "noise") for trial in trials)


@settings(max_examples=40, deadline=None)
@given(design=DESIGNS)
def test_models_and_reals_are_spread_over_the_whole_order(design: Design) -> None:
    """At any moment a model has had at most one block more than its share: fatigue weighs on all alike."""
    judged = [trial.source for trial in order(design, 1, pools(design)) if trial.role == "judged"]
    most = -(-10 // design.models)
    for end in range(1, len(judged) + 1):
        counts = Counter(judged[:end])
        for model in range(design.models):
            assert abs(counts[model] - end / (2 * design.models)) <= most
        assert abs(counts[design.real] - end / 2) <= most * design.models


def test_order_depends_on_seed_and_rater_only() -> None:
    design = Design(models=2, fakes=20, seed=7)
    assert order(design, 3, pools(design)) == order(design, 3, pools(design))
    first, second = order(design, 1, pools(design)), order(design, 2, pools(design))
    assert [trial.source for trial in first] != [trial.source for trial in second]
    other = Design(models=2, fakes=20, seed=8)
    assert order(other, 1, pools(other)) != first


def test_raters_have_images_of_their_own() -> None:
    design = Design(models=2, fakes=20, raters=6)
    seen: Counter[tuple[int, int]] = Counter()
    for rater in range(1, 7):
        trials = order(design, rater, pools(design))
        own = {(t.source, t.place) for t in trials if t.role == "judged"}
        assert len(own) == design.judged  # no image twice
        seen.update(own)
    assert set(seen.values()) == {1}
    late = order(design, 7, pools(design))  # one more than were expected begins from the first images again
    assert {(t.source, t.place) for t in late if t.role == "judged"} <= set(seen)


def test_order_is_not_to_be_guessed() -> None:
    """Who knows that blocks are balanced and counts along still gains little: half of a block is not known."""
    design = Design(models=1, fakes=50)
    right = total = 0
    for rater in range(1, 41):
        seen: list[bool] = []
        for trial in order(design, rater, pools(design)):
            if trial.role != "judged":
                continue
            block = seen[len(seen) // 20 * 20 :]
            guess = block.count(True) < block.count(False)  # real, if fewer were real so far
            right += guess == (trial.source == design.real)
            total += 1
            seen.append(trial.source == design.real)
    assert right / total < 0.63  # though no feedback says which were real


def test_real_images_have_classes_as_often_as_samples_do() -> None:
    labels = np.random.default_rng(0).integers(0, 10, 2000)
    rows, halves = chosen_real(labels, 2000, 600, 1)
    assert len(set(rows.tolist())) == 600
    assert labels[rows].tolist() == [i % 10 for i in range(600)]  # in turn, as `Run.labels` gives them
    for half in (0, 1):
        assert set(np.bincount(labels[rows][halves == half]).tolist()) == {30}
    assert not np.array_equal(rows, chosen_real(labels, 2000, 600, 2)[0])


def test_real_images_are_as_many_as_there_are() -> None:
    labels = np.repeat(np.arange(4), [5, 50, 50, 50])
    rows, _ = chosen_real(labels, 155, 100, 0)
    assert np.bincount(labels[rows]).tolist() == [5, 5, 5, 5]
    rows, halves = chosen_real(None, 40, 100, 0)
    assert sorted(rows.tolist()) == list(range(40)) and halves.sum() == 20
    with pytest.raises(InputError, match="9 images: a human test needs 10 or more"):
        chosen_real(None, 9, 100, 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"models": 0}, "1 to 12 models, not of 0"),
        ({"models": 13}, "not of 13: choose fewer runs"),
        ({"fakes": 4}, "judges 5 to 250 images"),
        ({"fakes": 251}, "not 251"),
        ({"raters": 0}, "1 to 1000 raters, not 0"),
        ({"exposure": 100}, "250 or 500 ms, or without a limit"),
        ({"seed": -1}, "the seed is -1"),
    ],
)
def test_designs_that_nobody_could_take(wrong: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Design(**{"models": 2, "fakes": 20, **wrong})


def test_protocols_have_names_of_their_own() -> None:
    assert Design(models=1).protocol == "hype-inf"
    assert Design(models=1, exposure=250).protocol == "250ms"


def test_trial_is_what_it_says() -> None:
    assert Trial("noise", 3, 1).repeats is None
    assert needed(0.4, 100, 2.2).raters < needed(0.4, 100, 13.7).raters
