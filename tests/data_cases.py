"""What the tests of data sets share."""

import pytest

from counterfeit.errors import DataError


def refused(call, *parts):
    """The call raises DataError in one line that says all of these."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message
