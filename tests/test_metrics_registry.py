"""Every metric: finite on the worst of sets, one line on bad input, the same number again."""

import math

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics import METRICS, NEEDS, Inputs
from metrics_cases import features, logits, softmax

N, D = 120, 6
GOOD = {
    "real": features(1, N, D),
    "fake": features(2, N, D, 1.1),
    "probabilities": softmax(logits(3, N, 5)),
    "train": features(4, 2 * N, D),
}


WHOLE = GOOD | {"real_probabilities": softmax(logits(5, N, 5))}


def made(arrays):
    """Inputs with label 0, a class of all, for every image; reals have the fakes' probabilities if none are given."""
    p = arrays["probabilities"]
    arrays = {"real_probabilities": p} | arrays
    zeros = {need: None if arrays[need] is None else np.zeros(len(arrays[need]), dtype=np.int64) for need in arrays}
    of_one = {"labels": zeros["probabilities"], "real_classes": zeros["real"], "fake_classes": zeros["fake"]}
    return Inputs(**of_one | arrays)


def collapsed(n, row):
    return np.tile(row, (n, 1))


HARD = {
    "good": GOOD,
    "two images": {need: rows[:2] for need, rows in GOOD.items()},
    "three images": {need: rows[:3] for need, rows in GOOD.items()},
    "sizes that differ": {need: rows[: 20 + 30 * i] for i, (need, rows) in enumerate(GOOD.items())},
    "one image again and again": GOOD
    | {"fake": collapsed(N, GOOD["fake"][:1]), "probabilities": collapsed(N, GOOD["probabilities"][:1])},
    "a training image again and again": GOOD | {"fake": collapsed(N, GOOD["train"][:1])},
    "nothing varies": {need: collapsed(N, np.full((1, D), 0.1)) for need in ("real", "fake", "train")}
    | {"probabilities": np.full((N, 5), 0.2)},
    "all zero": {need: np.zeros((N, D)) for need in ("real", "fake", "train")} | {"probabilities": np.eye(5)[[0] * N]},
    "the real images themselves": GOOD | {"fake": GOOD["real"]},
    "dead features": {need: rows * (np.arange(rows.shape[1]) < 2) for need, rows in GOOD.items()}
    | {"probabilities": GOOD["probabilities"]},
    "one feature": {need: rows[:, :1] for need, rows in GOOD.items()} | {"probabilities": np.ones((N, 1))},
    "huge": {need: rows * 1e20 for need, rows in GOOD.items()} | {"probabilities": GOOD["probabilities"]},
    "tiny": {need: rows * 1e-20 for need, rows in GOOD.items()} | {"probabilities": GOOD["probabilities"]},
    "vanishing": {need: rows * 1e-200 for need, rows in GOOD.items()} | {"probabilities": GOOD["probabilities"]},
    "float32": {need: rows.astype(np.float32) for need, rows in GOOD.items()},
    "integers": {need: np.round(100 * rows).astype(np.int64) for need, rows in GOOD.items()}
    | {"probabilities": np.eye(5, dtype=np.int64)[np.arange(N) % 5]},
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("case", HARD)
def test_finite_on_every_set(name, case):
    values = METRICS[name].compute(made(HARD[case]))
    assert tuple(values) == METRICS[name].labels
    for value in values.values():
        numbers = [value.value, *value.extras.values(), value.uncertainty or 0.0]
        assert all(type(number) is float and math.isfinite(number) for number in numbers)  # numpy's cannot be stored
        if value.uncertainty is not None:
            assert math.isfinite(value.uncertainty) and value.uncertainty >= 0 and value.uncertainty_kind


@pytest.mark.parametrize("name", METRICS)
def test_inputs_are_left_alone_and_the_seed_decides(name):
    before = {need: rows.copy() for need, rows in GOOD.items()}
    first = METRICS[name].compute(made(GOOD))
    assert first == METRICS[name].compute(made(GOOD))
    for need, rows in GOOD.items():
        np.testing.assert_array_equal(rows, before[need])


def needs():
    return [(name, need) for name in METRICS for need in METRICS[name].needs if need in WHOLE]


def complaint(name, **change):
    with pytest.raises(InputError) as caught:
        METRICS[name].compute(made(GOOD | change))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "need"), needs())
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e31])
def test_numbers_that_are_not_finite(name, need, number):
    rows = WHOLE[need].copy()
    rows[3, 1] = rows[3, 2] = rows[7, 0] = number
    message = complaint(name, **{need: rows})
    called = {"real": "real", "fake": "fake", "train": "training"}.get(need, "class probability")
    assert f"2 of {len(rows)} " in message and called in message


@pytest.mark.parametrize(("name", "need"), needs())
def test_inputs_that_cannot_be_used(name, need):
    assert "of 1 image" in complaint(name, **{need: WHOLE[need][:1]})
    assert "of 0 image" in complaint(name, **{need: WHOLE[need][:0]})
    assert "shape" in complaint(name, **{need: WHOLE[need][0]})
    assert "shape" in complaint(name, **{need: WHOLE[need][:, :0]})
    assert "real numbers" in complaint(name, **{need: WHOLE[need].astype(str)})
    assert NEEDS[need] in complaint(name, **{need: None})
    if "probabilities" not in need and {"real", "fake"} <= set(METRICS[name].needs):
        assert "columns" in complaint(name, **{need: WHOLE[need][:, :4]})


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_is(name):
    metric = METRICS[name]
    assert metric.summary and "\n" not in metric.summary and metric.least >= 2
    assert set(metric.needs) <= set(NEEDS) and metric.better in ("lower", "higher", "like the test set")


def test_labels_are_unique():
    labels = [label for name in METRICS for label in METRICS[name].labels]
    assert len(set(labels)) == len(labels)


def test_unknown_metric_names_its_nearest():
    with pytest.raises(InputError, match="did you mean 'kid'"):
        METRICS["kdi"]
