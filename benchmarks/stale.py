"""Which published rows are of other code than today's: by the digest of the code that trains and samples.

    python benchmarks/stale.py

Code that was seen to give the same bits (`bits.py`) counts as the same: weights by the code that trained, samples by
it or by the code that drew those of the score.
A row that is named is trained again by its grid: its folder is removed, and `make seed` or `make tuned` makes it anew.
Exits with 1 where there is one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bits
from counterfeit.runs import source

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Print the stale rows, and how many are not."""
    today, fresh, stale, known = source.digest(*source.TRAINING), 0, [], bits.load()
    for path in sorted(RESULTS.glob("*/comparison.json")):
        for run in json.loads(path.read_text(encoding="utf-8"))["runs"]:
            made, drawn = run.get("training_code"), run["score"]["receipt"]["code"].get("training")
            if made is not None and bits.same(run["model"], made, today, known, drawn):
                fresh += 1
            else:
                stale.append(f"{path.parent.name}: {run['path']} was trained by the code {(made or 'unknown')[:12]}")
    print("\n".join(stale + [f"{fresh} rows are of today's code, {today[:12]}; {len(stale)} are not"]))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
