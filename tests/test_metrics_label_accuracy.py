"""Label accuracy by hand."""

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics.label_accuracy import label_accuracy

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])


def test_shares_over_all_and_by_class():
    value = label_accuracy(P, [0, 1, 2, 2])
    assert value.value == 0.75
    assert value.extras == {"class_0": 1.0, "class_1": 1.0, "class_2": 0.5}
    assert value.uncertainty == pytest.approx(np.std([1, 1, 1, 0], ddof=1) / 2)


@pytest.mark.parametrize(
    ("labels", "says"),
    [([0, 1, 2], "one an image"), ([0.0, 1, 2, 2], "integers"), ([0, 1, 2, 3], "0 to 2"), ([-1, 1, 2, 2], "-1")],
)
def test_labels_that_do_not_fit(labels, says):
    with pytest.raises(InputError, match=says):
        label_accuracy(P, labels)
