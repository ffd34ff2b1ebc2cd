"""A grid of four runs that takes seconds, and what two comparisons of it must have in common."""

from __future__ import annotations

from typing import Any

import pytest

GRID = """
models = ["vae", "gan"]
data = ["mnist5k"]
seeds = [0, 1]
out = "runs/small"
[train]
epochs = 2
encoder_width = 64
decoder_width = 64
[train.vae]
score_every = 1
[train.gan]
lr = 2e-4
[score]
n = 200
metrics = ["fid", "kid"]
"""


def numbers(comparison: dict[str, Any]) -> list[Any]:
    """All that does not depend on the clock."""
    rows = [row for table in comparison["tables"] for row in table["rows"]]
    return [
        [{k: row[k] for k in ("label", "seeds", "rank", "metrics", "curve", "parameters", "runs")} for row in rows],
        [{k: run[k] for k in ("path", "losses", "test_losses", "curve")} for run in comparison["runs"]],
        comparison["failures"],
    ]


def assert_alike(one: Any, two: Any) -> None:
    """Equal, but for the last digits of float64: scores sum in another order where a process has other threads."""
    if isinstance(one, float) and isinstance(two, float):
        assert one == pytest.approx(two, rel=1e-9, abs=1e-12)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_alike(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_alike(a, b)
    else:
        assert one == two
