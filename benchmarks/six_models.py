"""The six models trained with their own recipes and scored by the small detector: a Markdown table, one seed.

    python benchmarks/six_models.py [--data mnist] [--home runs/six] [--n 10000]

Runs that are there already are continued or taken as they are, so that a stopped table goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import counterfeit as cf
from counterfeit.files import write_json
from counterfeit.recipes import RECIPES
from counterfeit.runs import RunFolder, provenance
from counterfeit.scoring.score import digits

RESULTS = Path(__file__).parent / "results"
SHOWN = ("FID", "KID", "IS", "Precision", "Recall", "Density", "Coverage", "Authenticity")


def cell(score: cf.Score, label: str) -> str:
    """`12.3 ± 0.2`."""
    (scored,) = (score[name] for name in score if name.partition("[")[0] == label)
    spread = "" if scored.uncertainty is None else f" ± {digits(scored.uncertainty, 2)}"
    return digits(scored.value) + spread


def floors(score: cf.Score) -> str:
    """The row of real images."""
    found = {name.partition("[")[0]: scored.floor for name, scored in score.items()}
    found["Authenticity"] = next(s.value for name, s in score.items() if name.startswith("Authenticity (test)"))
    return " | ".join("" if found[label] is None else digits(found[label]) for label in SHOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--home", type=Path, default=Path("runs/six"))
    parser.add_argument("--n", type=int, default=10_000)
    args = parser.parse_args()
    scores = {}
    for model in RECIPES:
        out = args.home / f"{model}-{args.data}"
        run = cf.train(model, args.data, out=out, resume=RunFolder(out).holds_run())
        scores[model] = run.score(n=args.n)
    detector = next(iter(scores.values())).receipt["detector"]["name"]
    print(f"{args.data}, {args.n:,} samples against the test set, detector {detector}\n")
    print("| model | " + " | ".join(SHOWN) + " |\n" + "|---" * (len(SHOWN) + 1) + "|")
    for model, score in scores.items():
        print(f"| `{model}` | " + " | ".join(cell(score, label) for label in SHOWN) + " |")
    print(f"| real training images | {floors(next(iter(scores.values())))} |")
    result = {model: score.to_dict() for model, score in scores.items()}
    write_json(RESULTS / f"six-{args.data}.json", {"scores": result, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
