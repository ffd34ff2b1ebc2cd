"""From judgements to the numbers of a human test, held against simple loops, scipy and known abilities."""

from __future__ import annotations

import dataclasses
from statistics import mean

import msgspec
import numpy as np
import pytest
from scipy import stats

from counterfeit.errors import InputError
from counterfeit.human.design import Design
from counterfeit.human.lines import Judgement, as_line, parsed
from counterfeit.human.raters import by_coin
from counterfeit.human.statistics import ONE_RATER, Tally, holm, real_against_real, results
from human_cases import clicks, errs, judged

MODELS = ["a", "b", "c"]
DESIGN = Design(models=3, fakes=20, raters=40)


@pytest.fixture(scope="module")
def judgements() -> list[Judgement]:
    """12 raters: of model a they take half for real, of b a third, of c none; they doubt a fifth of the real images."""
    rng = np.random.default_rng(0)
    people = [errs(*np.clip(np.array([0.5, 0.33, 0.02, 0.2]) + rng.normal(0, 0.15, 4), 0, 1)) for _ in range(12)]
    return judged(DESIGN, people, MODELS)


def shares(judgements: list[Judgement], rater: int, model: str | None) -> list[bool]:
    """Whether a rater was wrong, for every judged image of a model, or real one."""
    return [one.wrong for one in judgements if (one.rater, one.model, one.role) == (rater, model, "judged")]


def test_numbers_are_those_of_a_plain_loop(judgements: list[Judgement]) -> None:
    found = results(judgements, draws=200)
    for of_model in found.models:
        hype, d_prime, criterion = [], [], []
        for rater in range(1, 13):
            fakes, reals = shares(judgements, rater, of_model.model), shares(judgements, rater, None)
            hype.append((mean(fakes) + mean(reals)) / 2)
            hit = stats.norm.ppf((fakes.count(False) + 0.5) / (len(fakes) + 1))
            false_alarm = stats.norm.ppf((reals.count(True) + 0.5) / (len(reals) + 1))
            d_prime.append(hit - false_alarm)
            criterion.append(-(hit + false_alarm) / 2)
        assert of_model.hype.value == pytest.approx(mean(hype))
        assert of_model.d_prime.value == pytest.approx(mean(d_prime))
        assert of_model.criterion.value == pytest.approx(mean(criterion))
        expected = stats.t.interval(0.95, 11, mean(d_prime), stats.sem(d_prime))
        assert of_model.d_prime.interval == pytest.approx(expected)
        assert of_model.judgements == 12 * (20 + 60)
    assert found.counted == tuple(range(1, 13))
    assert found.reals is not None and found.reals.value == pytest.approx(
        mean(mean(shares(judgements, rater, None)) for rater in range(1, 13))
    )


def test_one_model_and_as_many_reals_give_hypes_share_of_all_images() -> None:
    design = Design(models=1, fakes=30)
    lines = judged(design, [errs(0.4, 0.3), errs(0.6, 0.1)], ["a"])
    counted = [one.wrong for one in lines if one.role == "judged"]
    (of_model,) = results(lines, draws=50).models
    assert of_model.hype.value == pytest.approx(mean(counted))
    assert of_model.judgements == len(counted) == 120


def test_difference_is_paired_within_raters(judgements: list[Judgement]) -> None:
    found = {one.models: one for one in results(judgements, draws=2000).differences}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    raw = {}
    for (one, two), difference in found.items():
        x = [mean(shares(judgements, rater, one)) / 2 for rater in range(1, 13)]
        y = [mean(shares(judgements, rater, two)) / 2 for rater in range(1, 13)]
        test = stats.ttest_rel(x, y)
        interval = test.confidence_interval()
        assert difference.value.value == pytest.approx(np.mean(np.array(x) - y))
        assert difference.value.interval == pytest.approx((interval.low, interval.high))
        assert difference.value.bootstrap is not None
        assert difference.value.bootstrap[0] < difference.value.value < difference.value.bootstrap[1]
        raw[one, two] = test.pvalue
    ordered = sorted(raw, key=lambda pair: raw[pair])
    assert found[ordered[0]].p == pytest.approx(3 * raw[ordered[0]])  # Holm: the smallest times the number of pairs
    assert found[ordered[0]].p < 0.001


def test_the_largest_difference_is_the_surest() -> None:
    """Model a is always taken for real and b never, by all raters: no spread, and the least p there is."""
    lines = judged(Design(models=2, fakes=20), [errs(1, 0, 0)] * 5, ["a", "b"])
    (difference,) = results(lines, draws=2).differences
    assert difference.value.value == 0.5 and difference.p is not None and difference.p < 1e-6
    assert difference.value.interval is not None and 0.4 < difference.value.interval[0] < 0.5
    alike = judged(Design(models=2, fakes=20), [errs(0, 0, 0)] * 5, ["a", "b"])
    assert results(alike, draws=2).differences[0].p == 1.0


@pytest.mark.parametrize("error", [0.1, 0.5])
def test_chance_flags_real_against_real_in_one_of_twenty_tests(error: float) -> None:
    """20 raters who judge 20 real images: the interval misses 50 % as often as the page says, whatever their errors."""
    rng, tests = np.random.default_rng(0), 1500
    judged_reals = np.full((2, 20, 2), 10.0)
    flagged = 0
    for _ in range(tests):
        halves = np.stack([rng.binomial(10, error, (20, 2)).astype(float), judged_reals[0]])
        found = real_against_real(Tally(judged_reals[0], judged_reals[0], halves))
        assert found is not None and found.interval is not None
        flagged += not found.interval[0] <= 0.5 <= found.interval[1]
    assert 0.02 <= flagged / tests <= 0.08


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == [1.0, 1.0]


def test_real_against_real_is_half_whatever_the_ability() -> None:
    """The mean over many raters of each kind: those who doubt none, a fifth, and 60 % of the real images."""
    for doubt in (0.0, 0.2, 0.6):
        lines = judged(dataclasses.replace(DESIGN, models=1), [errs(0.2, doubt)] * 60, ["a"])
        baseline = results(lines, draws=50).baseline
        assert baseline is not None and baseline.value == pytest.approx(0.5, abs=0.05)  # 3.5 standard errors
        assert baseline.interval is not None and baseline.interval[0] < 0.5 < baseline.interval[1]


def test_real_against_real_shows_a_leak() -> None:
    """Raters who know one half of the real images by something that is not in the image: the baseline is not 0.5."""

    def says(trial, rng) -> bool:
        return trial.source == 1 and trial.place % 2 == 0 and rng.random() < 0.7

    baseline = results(judged(Design(models=1, fakes=20), [says] * 12, ["a"]), draws=50).baseline
    assert baseline is not None and baseline.value > 0.8


def test_one_rater_gets_wilson_and_a_line_that_says_so() -> None:
    found = results(judged(Design(models=1, fakes=50), [errs(0.4, 0.2)], ["a"]), draws=50)
    (of_model,) = found.models
    wrong = round(of_model.hype.value * 100)
    expected = stats.binomtest(wrong, 100).proportion_ci(method="wilson")
    assert of_model.hype.interval == pytest.approx((expected.low, expected.high))
    assert ONE_RATER in found.notes
    assert of_model.spread is None and of_model.d_prime.interval is None


def test_perfect_raters_and_always_fake() -> None:
    (perfect,) = results(judged(Design(models=1, fakes=50), [errs(0, 0)] * 5, ["a"]), draws=50).models
    assert perfect.hype.value == 0 and perfect.hype.interval is not None and perfect.hype.interval[0] == 0
    assert perfect.d_prime.value == pytest.approx(2 * stats.norm.ppf(50.5 / 51))  # finite (Hautus 1995)
    assert perfect.criterion.value == pytest.approx(0)
    found = results(judged(Design(models=1, fakes=50), [errs(0, 1)] * 2, ["a"]), draws=50)
    assert not found.models and all("called 50 of 50 real images fake" in rater.fault for rater in found.raters)


def test_careful_raters_of_a_very_good_model_are_counted() -> None:
    """They find all noise and all real images, and take 19 of 20 fakes for real: that is the result, not a fault."""
    fooled = [errs(0.95, 0)] * 5
    assert results(judged(Design(models=1, fakes=50), fooled, ["a"]), draws=2).counted == (1, 2, 3, 4, 5)


def test_always_one_answer_is_found_whatever_the_model() -> None:
    """Not by the models' images: also those who would be right about all or none of them."""
    for reals, noise in ((1.0, 0.0), (0.0, 1.0)):  # always "fake", always "real"
        for fakes in (0.0, 1.0):
            found = results(judged(Design(models=1, fakes=50), [errs(fakes, reals, noise)] * 2, ["a"]), draws=2)
            assert not found.counted


def test_raters_who_click_at_random_are_found_and_not_counted() -> None:
    """Of 400, with 8 images of noise each, a coin passes with 9/256; those who look, and slip once in 50, fail 1 %."""

    def slips(trial, rng) -> bool:
        return rng.random() < (0.02 if trial.source == 2 else 0.4)

    design = Design(models=1, fakes=20, raters=400)
    random = results(judged(design, [clicks] * 400, ["a"]), draws=2)
    careful = results(judged(design, [slips] * 400, ["a"]), draws=2)
    assert len(random.counted) / 400 == pytest.approx(9 / 256, abs=0.03)  # 3 standard errors
    assert len(careful.counted) / 400 > 0.975
    assert "someone who clicks at random" in next(rater.fault for rater in random.raters if rater.fault)
    assert sum(rater.agreed for rater in random.raters) / sum(rater.repeats for rater in random.raters) < 0.6


def test_random_clickers_do_not_move_the_number() -> None:
    people = [errs(0.3, 0.3, 0.3, 0.1)] * 10
    alone = results(judged(DESIGN, people, MODELS), draws=50)
    lines = judged(DESIGN, [*people, clicks, clicks], MODELS)
    together = results(lines, draws=50)
    assert together.counted == alone.counted == tuple(range(1, 11))
    assert (together.models, together.differences) == (alone.models, alone.differences)
    assert any("shown apart" in note for note in together.notes)


def test_coin_is_binomial() -> None:
    for missed, noise in ((0, 8), (1, 8), (2, 8), (4, 9)):
        assert by_coin(missed, noise) == pytest.approx(stats.binom.cdf(missed, noise, 0.5))


def test_raters_who_stop_early_are_shown_apart() -> None:
    lines = judged(Design(models=1, fakes=20), [errs(0.3, 0.1)] * 3, ["a"])
    few = [one for one in lines if one.rater != 2 or one.position < 10]
    found = results(few, draws=50)
    assert found.counted == (1, 3)
    assert found.raters[1].fault == "has judged 10 of 50 images"


def test_raters_who_judged_nothing_of_a_model_are_shown_apart(judgements: list[Judgement]) -> None:
    """Lines that somebody has cut: no share is divided by nothing."""
    cut = [one for one in judgements if one.rater != 3 or one.model != "b"]
    assert results(cut, draws=50).counted == tuple(rater for rater in range(1, 13) if rater != 3)


def test_nobody_yet() -> None:
    found = results([])
    assert (found.models, found.reals, found.counted) == ((), None, ())


def test_images_that_several_raters_see_are_noted() -> None:
    lines = judged(Design(models=1, fakes=20, raters=1), [errs(0.3, 0.1)] * 3, ["a"])
    assert any("seen by several raters" in note for note in results(lines, draws=50).notes)
    lines = judged(Design(models=1, fakes=20, raters=3), [errs(0.3, 0.1)] * 3, ["a"])
    assert not any("seen by several raters" in note for note in results(lines, draws=50).notes)


def test_numbers_follow_from_the_lines_alone(judgements: list[Judgement]) -> None:
    """Written, shuffled and read again: the same numbers to the last bit."""
    lines = [as_line(one) for one in judgements]
    np.random.default_rng(0).shuffle(lines)
    again = parsed(lines)
    assert results(again, draws=500) == results(judgements, draws=500)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answer": "maybe"}, "answer"),
        ({"rater": 0}, "rater"),
        ({"seconds": -1.0}, "seconds"),
        ({"half": 2}, "half"),
        ({"image": None}, "image"),
    ],
)
def test_lines_that_are_no_judgements_are_refused(judgements: list[Judgement], change: dict, says: str) -> None:
    line = msgspec.json.encode({**msgspec.to_builtins(judgements[0]), **change})
    with pytest.raises(InputError, match=f"^mine.jsonl, line 2: .*{says}.*; fix or remove the line$"):
        parsed([as_line(judgements[1]), line], "mine.jsonl")


def test_a_second_judgement_of_one_image_is_refused(judgements: list[Judgement]) -> None:
    with pytest.raises(InputError, match="line 2: rater 1 has judged image 0 already"):
        parsed([as_line(judgements[0])] * 2)
