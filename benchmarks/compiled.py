"""Does torch.compile pay in training? Our loop with its nets and likelihood compiled, against our loop as it is.

    python benchmarks/compiled.py [--models vae gan dcgan] [--pairs 7] [--steps 60]

Both in one process, in turns, the order alternating. Inductor does not take the operator by which nets/linear.py
multiplies; here it is given as one of ours that it leaves alone, else it would multiply by MKL.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.base import Model
from counterfeit.models.build import build
from counterfeit.nets import linear
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from our_loop import our_steps, steps_of
from spread import ratios

RESULT = Path(__file__).parent / "results/compiled.json"
LIBRARY = torch.library.Library("counterfeit", "DEF")


def opaque_product() -> None:
    """Make an operator that does what oneDNN's does, and that Inductor does not look into."""
    LIBRARY.define("product(Tensor x, Tensor w, Tensor? b, str name, float[] scalars) -> Tensor")
    LIBRARY.impl("product", lambda x, w, b, name, s: torch.ops.mkldnn._linear_pointwise(x, w, b, name, s, ""), "CPU")
    torch.library.register_fake(
        "counterfeit::product", lambda x, w, *_: x.new_empty(x.shape[0], w.shape[0]), lib=LIBRARY
    )


def product(x, w, b=None, slope=None):
    name, scalars = ("none", []) if slope is None else ("leaky_relu", [slope]) if slope else ("relu", [])
    return torch.ops.counterfeit.product(x, w, b, name, scalars)


def compiled(model: Model) -> Model:
    for net in model.children():
        net.compile()
    likelihood = getattr(model, "likelihood", None)
    if likelihood is not None:
        model.likelihood = replace(likelihood, nll=torch.compile(likelihood.nll))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vae", "gan", "dcgan"])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    images, rows = cf.load_data("mnist"), []
    quick = linear._product
    opaque_product()
    for name in args.models:
        model = build(MODELS[name], MODELS[name].settings, images.shape, len(images.classes))
        sides = {"plain": our_steps(name, "mnist"), "compiled": steps_of(compiled(model), name, images)}
        next(sides["plain"])
        linear._product = product
        start = time.perf_counter()
        next(sides["compiled"])
        rows.append({"model": name, "compiling_s": round(time.perf_counter() - start, 1)})
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for pair in range(args.pairs):
            for side in sorted(sides, reverse=bool(pair % 2)):
                linear._product = product if side == "compiled" else quick
                start = time.perf_counter()
                for _ in range(args.steps):
                    next(sides[side])
                seconds[side].append(time.perf_counter() - start)
        rows[-1]["ratio"] = ratios(seconds["plain"], seconds["compiled"])
        print(rows[-1], flush=True)
    write_json(RESULT, {"rows": rows, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
