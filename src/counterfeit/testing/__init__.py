"""What every model must keep, for who adds one: a test that calls `check_model("mine")` is all that it takes."""

from __future__ import annotations

from typing import Any

__all__ = ["check_model"]


def check_model(name: str, **settings: Any) -> None:
    """Raise AssertionError, which says what is wrong and how to fix it, unless a registered model keeps the contract.

    That is `counterfeit.models.base.Model`. The model is looked at as the package uses it: small (`ModelSpec.small`),
    trained for a few steps on made images on the CPU, stopped and continued, sampled, shared out over two processes.

    Args:
        settings: those of the model that shall be others than its defaults, such as `loss="minimax"`.
    """
    from counterfeit.testing.checks import CHECKS
    from counterfeit.testing.small import variant

    with variant(name, settings) as checked:
        for check in CHECKS:
            check(checked)
