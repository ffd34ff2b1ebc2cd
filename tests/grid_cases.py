"""A grid of four runs that takes seconds, and what two comparisons of it must have in common."""

from __future__ import annotations

from typing import Any

GRID = """
models = ["vae", "gan"]
data = ["mnist5k"]
seeds = [0, 1]
out = "runs/small"
[train]
epochs = 2
score_every = 1
[train.gan]
lr = 2e-4
[score]
n = 500
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
