"""Label accuracy by hand."""

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics.label_accuracy import label_accuracy

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])


def test_shares_over_all_and_by_class():
    value = label_accuracy(P, [0, 1, 2, 2])
    assert value.value == 0.75
    assert {key: value.extras[key] for key in value.extras if key.startswith("class_")} == {
        "class_0": 1.0,
        "class_1": 1.0,
        "class_2": 0.5,
    }
    many = label_accuracy(np.tile(P, (50, 1)), [0, 1, 2, 2] * 50)
    assert many.uncertainty == many.extras["standard_error_fake"] == pytest.approx((0.75 * 0.25 / 199) ** 0.5)


@pytest.mark.parametrize(
    ("labels", "says"),
    [([0, 1, 2], "one per image"), ([0.0, 1, 2, 2], "integers"), ([0, 1, 2, 3], "0 to 2"), ([-1, 1, 2, 2], "-1")],
)
def test_labels_that_do_not_fit(labels, says):
    with pytest.raises(InputError, match=says):
        label_accuracy(P, labels)
